"""Quantiles with intervals that assume nothing of the distribution."""

import math
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike

from evalkit.stats.bootstrap import effective_units
from evalkit.stats.intervals import critical_value, effective_size
from evalkit.stats.units import Array, Codes

FEWEST = 8
"""With fewer clusters nobody can say how alike the values in them are."""


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
    below = scipy.special.bdtr(np.arange(n + 1, dtype=float), n, q)
    # x(l) lies above the quantile with the chance that fewer than l values lie below it.
    lower = int(np.searchsorted(below, tail, side="right"))
    upper = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    if lower < 1 or upper > n:
        return None
    return float(ordered[lower - 1]), float(ordered[upper - 1])


def clustered_quantile_intervals(
    clusters: Sequence[ArrayLike], qs: Sequence[float], confidence: float = 0.95
) -> list[tuple[float, float] | None]:
    """Interval of each quantile of all values, where values of one cluster are not independent.

    As `quantile_interval`, for as many independent values as these are worth: the share of values
    up to the quantile is a clustered proportion, whose exact interval, read off the ordered values,
    is the quantile's.

    Args:
        clusters: Values of each cluster, such as a batch; at least one each.
        qs: Between 0 and 1.
        confidence: Least share of such intervals that should hold the true value.

    Returns:
        None where there are too few values or clusters to say.

    Source: Woodruff 1952, "Confidence intervals for medians and other position measures"; the
    proportion's interval by Korn and Graubard 1998.
    """
    sizes = [len(np.atleast_1d(part)) for part in clusters]
    values = np.concatenate([*map(np.atleast_1d, clusters), []]).astype(np.float64)
    if set(sizes) <= {1}:
        return [quantile_interval(values, q, confidence) for q in qs]
    if len(clusters) < FEWEST:
        return [None] * len(qs)
    codes = np.repeat(np.arange(len(clusters)), sizes)
    ordered, n = np.sort(values), len(values)
    narrower = critical_value(confidence, n - 1) / critical_value(confidence, len(clusters) - 1)
    found: list[tuple[float, float] | None] = []
    most = _worth(values, codes, 0.5)
    # How little they are worth at that, which few clusters tell badly: by one chance in twenty.
    freedom = (len(clusters) - 1) / 2
    unsure = float(scipy.special.gammaincinv(freedom, 0.05)) / freedom
    for q in qs:
        # How alike the few values of a tail are within clusters, these alone do not tell.
        size = min(_worth(values, codes, q), most) * narrower**2
        sure = size * unsure
        if q**sure + (1 - q) ** sure > 1 - confidence:  # all may lie on one side of it
            found.append(None)
            continue
        low = scipy.special.betaincinv(q * size, size - q * size + 1, (1 - confidence) / 2)
        high = scipy.special.betaincinv(q * size + 1, size - q * size, (1 + confidence) / 2)
        lower, upper = math.floor(low * n), math.ceil(high * n) + 1
        is_inside = lower >= 1 and upper <= n
        found.append((float(ordered[lower - 1]), float(ordered[upper - 1])) if is_inside else None)
    return found


def _worth(values: Array, codes: Codes, q: float) -> float:
    """As many independent values as these are worth, for the share up to their q-quantile.

    Between Kish's number of clusters, of which a large one makes up for no small one, and all.
    """
    below = (values <= np.quantile(values, q)).astype(float)
    return effective_size(below, codes, effective_units(np.bincount(codes).astype(float)))
