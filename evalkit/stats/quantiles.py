"""Quantiles with intervals that assume nothing of the distribution."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def quantile_interval(
    values: ArrayLike, q: float, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Interval of the q-quantile between two order statistics; None where the sample is too small.

    The chance that so many of n values lie below the true quantile is binomial, so the interval
    holds it at least as often as it says, whatever the distribution. Of the pairs that leave at
    most half of the error on each side, it is the closest.

    Args:
        values: Independent values.
        q: Between 0 and 1.
        confidence: Least share of such intervals that hold the true quantile.

    Source: Conover 1999, "Practical nonparametric statistics", section 3.2.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n, tail = len(ordered), (1 - confidence) / 2
    below = stats.binom.cdf(np.arange(n + 1), n, q)
    # x(l) lies above the quantile with the chance that fewer than l values lie below it.
    lower = int(np.searchsorted(below, tail, side="right"))
    upper = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    if lower < 1 or upper > n:
        return None
    return float(ordered[lower - 1]), float(ordered[upper - 1])
