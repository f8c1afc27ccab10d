"""Whether a metric's value differs from a fixed number."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.stats.bootstrap import DRAWS, bootstrap_p, effective_units, resampled_sums
from evalkit.stats.estimate import is_binary
from evalkit.stats.intervals import effective_size, mean_stderr
from evalkit.stats.significance import binomial_p, score_p, t_p
from evalkit.stats.units import cluster_codes, matrix, unit_sums


def value_p(
    statistics: ArrayLike,
    aggregation: str,
    null: float,
    clusters: Sequence[Hashable | None] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> float | None:
    """Two-sided p-value of a metric's true value being `null`.

    Proportions get the exact binomial test (the score test on the effective number of samples where
    those come in clusters), other means Student's t (cluster-robust, on C - 1 degrees of freedom),
    corpus metrics a bootstrap of whole units.

    Args:
        statistics: Shape (n, k), or (n,) where k is 1.
        aggregation: Name in `AGGREGATIONS`.
        null: The value under the null hypothesis.
        clusters: Cluster id of each sample.
        seed: Seed of the bootstrap.
        draws: Resamples of the bootstrap.

    Returns:
        None where the value is undefined or there are fewer than two samples or clusters.
    """
    how, rows, codes = AGGREGATIONS[aggregation], matrix(statistics), cluster_codes(clusters)
    n = len(rows)
    units = n if codes is None else int(codes.max()) + 1
    if units < 2:
        return None
    value = float(how.value(rows.sum(axis=0), np.array(n)))
    if not np.isfinite(value):
        return None
    if not how.is_mean:
        sums, sizes = unit_sums(rows, codes)
        drawn = resampled_sums(np.column_stack([sums, sizes]), seed, draws)
        return bootstrap_p(how.value(drawn[:, :-1], drawn[:, -1]), null, effective_units(sizes))
    values = rows[:, 0]
    if codes is None and is_binary(values):
        return binomial_p(int(values.sum()), n, null)
    if codes is not None and is_binary(values):
        return score_p(value, effective_size(values, codes), null, units - 1)
    return t_p(value - null, mean_stderr(values, codes), units - 1)
