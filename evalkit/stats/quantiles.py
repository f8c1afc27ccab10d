"""Quantiles with intervals that assume nothing of the distribution."""

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike

from evalkit.stats.bootstrap import effective_units, percentile_interval


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
    below = scipy.stats.binom.cdf(np.arange(n + 1), n, q)
    # x(l) lies above the quantile with the chance that fewer than l values lie below it.
    lower = int(np.searchsorted(below, tail, side="right"))
    upper = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    if lower < 1 or upper > n:
        return None
    return float(ordered[lower - 1]), float(ordered[upper - 1])


def batch_quantile_intervals(
    batches: Sequence[ArrayLike], qs: Sequence[float], seed: int, draws: int = 1000
) -> list[tuple[float, float] | None]:
    """Interval of each quantile of all values, whole batches being drawn again.

    Values of one batch share its disturbances, so the batch is the unit. None where there are fewer
    than two batches.

    Args:
        batches: Values of each batch; at least one each.
        qs: Between 0 and 1.
        seed: Seed of the random stream.
        draws: Number of resamples.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", section 8.3.
    """
    if len(batches) < 2:
        return [None] * len(qs)
    values = [np.asarray(batch, dtype=np.float64) for batch in batches]
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(values), (draws, len(values)))
    found = np.array(
        [np.quantile(np.concatenate([values[i] for i in row]), list(qs)) for row in chosen]
    )
    units = effective_units(np.array([len(batch) for batch in values], dtype=np.float64))
    return [percentile_interval(column, units) for column in found.T]
