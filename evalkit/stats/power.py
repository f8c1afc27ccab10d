"""What a number of samples can see, and how many samples an effect needs.

Source: Bloom 1995, "Minimum detectable effects"; for evaluations Miller 2024, "Adding error bars to
evals", section 5.
"""

import math

import scipy

ALPHA = 0.05
POWER = 0.8


def minimal_detectable_effect(stderr: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest true effect that a two-sided test at `alpha` finds with probability `power`.

    Args:
        stderr: Standard error of the measured effect, in whose unit the result is.
        alpha: Level of the test.
        power: Probability to find the effect.
    """
    return _reach(alpha, power) * stderr


def sample_size(
    effect: float, deviation: float, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Samples that a two-sided test at `alpha` needs to find an effect with probability `power`.

    Args:
        effect: True effect, a mean difference.
        deviation: Standard deviation of the difference of one sample, in the unit of `effect`.
        alpha: Level of the test.
        power: Probability to find the effect.

    Returns:
        None where the effect is 0: no number of samples is enough.
    """
    if effect == 0:
        return None
    return max(2, math.ceil((_reach(alpha, power) * deviation / effect) ** 2))


def _reach(alpha: float, power: float) -> float:
    return float(scipy.special.ndtri(1 - alpha / 2) + scipy.special.ndtri(power))
