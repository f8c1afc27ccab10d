"""Two scores of different samples: what is left where nothing can be paired."""

import math
from dataclasses import dataclass

import scipy


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """What a score says of its samples.

    Attributes:
        value: The score.
        stderr: Its standard error.
        ci_low: Lower end of its 95 % interval.
        ci_high: Upper end of it.
        units: Independent samples, or clusters.
        is_share: Whether it is a proportion of samples that stand alone.
    """

    value: float
    stderr: float
    ci_low: float
    ci_high: float
    units: int
    is_share: bool = False


@dataclass(frozen=True, slots=True)
class UnpairedEstimate:
    """Candidate less baseline, as if the two had nothing in common.

    Attributes:
        difference: In the metric's unit.
        stderr: Standard error of the difference.
        ci_low: Lower end of the 95 % interval.
        ci_high: Upper end of it.
        p: Two-sided p-value of no difference.
        test: Name of the test.
    """

    difference: float
    stderr: float
    ci_low: float
    ci_high: float
    p: float
    test: str


def compare_scores(baseline: ScoreSummary, candidate: ScoreSummary) -> UnpairedEstimate:
    """Difference of two independent scores.

    The interval is put together from the two scores' own (MOVER; for proportions with Wilson's
    intervals this is Newcombe's method 10). Proportions get the N - 1 chi-squared test, other
    scores Welch's.

    Source: Newcombe 1998; Zou and Donner 2008; Campbell 2007; Welch 1947.
    """
    a, b = baseline, candidate
    difference = b.value - a.value
    stderr = math.hypot(a.stderr, b.stderr)
    low = difference - math.hypot(b.value - b.ci_low, a.ci_high - a.value)
    high = difference + math.hypot(b.ci_high - b.value, a.value - a.ci_low)
    if a.is_share and b.is_share:
        p, test = _chi_squared_p(a, b), "chi-squared"
    else:
        p, test = _welch_p(a, b, difference, stderr), "welch"
    return UnpairedEstimate(difference, stderr, low, high, max(p, 1e-300), test)


def _chi_squared_p(a: ScoreSummary, b: ScoreSummary) -> float:
    n = a.units + b.units
    share = (a.value * a.units + b.value * b.units) / n
    variance = share * (1 - share) * (1 / a.units + 1 / b.units) * n / (n - 1)
    if variance <= 0:
        return 1.0
    return 2 * float(scipy.special.ndtr(-abs(b.value - a.value) / math.sqrt(variance)))


def _welch_p(a: ScoreSummary, b: ScoreSummary, difference: float, stderr: float) -> float:
    if stderr == 0:
        # Without any spread only a permutation of the units is left, and this is its smallest p.
        return 1.0 if difference == 0 else 2 / math.comb(a.units + b.units, a.units)
    spread = a.stderr**4 / (a.units - 1) + b.stderr**4 / (b.units - 1)
    return 2 * float(scipy.special.stdtr(stderr**4 / spread, -abs(difference) / stderr))
