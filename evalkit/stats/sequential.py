"""Tests that may be looked at after every round: e-processes and confidence sequences.

Ville's inequality bounds the chance that such evidence for a wrong claim *ever* exceeds 1 / alpha,
so data may be gathered until a question is decided, and no longer.
"""

import math
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Bets, as shares of the largest that cannot go broke: a mixture over them needs no tuning.
_BETS = np.geomspace(0.03, 0.95, 16)
# Before so many units an estimated variance is no ground for an asymptotic bound.
WARM_UP = 40


class Side(StrEnum):
    """On which side of its limit a quantity lies."""

    BEYOND = "beyond"
    WITHIN = "within"


def betting_evidence(gains: Array, floor: float) -> float:
    """Largest log e-value, over all looks so far, against `gains` having mean 0 or less.

    A gambler who stakes a fixed share of the capital on each gain cannot expect to win if their
    mean is at most 0; the capital, averaged over many stakes, is an e-process.

    Args:
        gains: In the order they were drawn, shape (n,); none below `-floor`.
        floor: Largest possible loss, above 0.

    Returns:
        Natural logarithm of the capital at its height; 0 before any gain.

    Source: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
    betting", JRSS B 86 (the diversified bets of section B.7); Ville 1939.
    """
    if len(gains) == 0:
        return 0.0
    capital = np.cumsum(np.log1p(np.outer(_BETS / floor, gains)), axis=1)
    mixed = np.logaddexp.reduce(capital, axis=0) - math.log(len(_BETS))
    return max(0.0, float(mixed.max()))


def bounded_side(
    excess: Array, lowest: float, highest: float, alpha: float, beta: float
) -> Side | None:
    """Which side of 0 the mean of bounded units lies on, as far as they tell by now.

    Args:
        excess: How far each unit lies beyond the limit, in the order drawn, shape (n,).
        lowest: No unit can lie below; negative.
        highest: No unit can lie above; positive.
        alpha: Chance of ever calling a mean of at most 0 beyond.
        beta: Chance of ever calling a mean of at least 0 within.
    """
    if betting_evidence(excess, -lowest) >= -math.log(alpha):
        return Side.BEYOND
    if betting_evidence(-excess, highest) >= -math.log(beta):
        return Side.WITHIN
    return None


def asymptotic_side(
    estimate: float, deviation: float, n: int, horizon: int, alpha: float, beta: float
) -> Side | None:
    """The same for an asymptotically normal estimate of the excess, such as of a perplexity.

    Args:
        estimate: Of the excess over the limit, from the first `n` units.
        deviation: Estimated standard deviation of one unit's influence on it.
        n: Units so far.
        horizon: Units at most; the sequence is made tightest at a tenth of them.
        alpha: Chance of ever calling an excess of at most 0 beyond.
        beta: Chance of ever calling an excess of at least 0 within.
    """
    if n < WARM_UP or deviation == 0:
        return None
    if estimate > sequence_reach(deviation, n, horizon, alpha):
        return Side.BEYOND
    if estimate < -sequence_reach(deviation, n, horizon, beta):
        return Side.WITHIN
    return None


def sequence_reach(deviation: float, n: int, horizon: int, alpha: float) -> float:
    """Half-width of a one-sided asymptotic confidence sequence.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit
    theory and asymptotic confidence sequences", Annals of Statistics 52, the one-sided boundary of
    its appendix; the mixture is Robbins 1970.
    """
    tightest = max(WARM_UP, horizon / 10)
    level = -2 * math.log(2 * min(alpha, 0.25))
    rho2 = (level + math.log(level) + 1) / tightest
    spread = n * rho2 + 1
    factor = 2 * spread / (n**2 * rho2) * math.log(1 + math.sqrt(spread) / (2 * alpha))
    return deviation * math.sqrt(factor)
