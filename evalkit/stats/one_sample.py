"""Whether a metric's value differs from a fixed number."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.stats.bootstrap import DRAWS, bootstrap_p, effective_units, resampled_sums
from evalkit.stats.estimate import is_binary
from evalkit.stats.intervals import effective_size, mean_stderr
from evalkit.stats.jackknife import jackknife_stderr
from evalkit.stats.significance import binomial_p, johnson_p, score_p, t_p
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

    Proportions get the exact binomial test; where they come in clusters, the less sure of the score
    test on the effective number of samples and t. Other means get the less sure of Student's t and
    Johnson's for skewed values, both cluster-robust; corpus metrics the less sure of a bootstrap of
    whole units and a jackknife t.

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
    sums, sizes = unit_sums(rows, codes)
    freedom = effective_units(sizes) - 1
    if not how.is_mean:
        drawn = resampled_sums(np.column_stack([sums, sizes]), seed, draws)
        p = bootstrap_p(how.value(drawn[:, :-1], drawn[:, -1]), null, freedom + 1)
        stderr = jackknife_stderr(sums, sizes, how.value)
        # On few units either is too sure of itself, but seldom both at once.
        return max(p, t_p(value - null, stderr, freedom)) if np.isfinite(stderr) else p
    values = rows[:, 0]
    if codes is None and is_binary(values):
        return binomial_p(int(values.sum()), n, null)
    stderr = mean_stderr(values, codes)
    p = t_p(value - null, stderr, freedom)
    if codes is not None and is_binary(values):
        return max(p, score_p(value, effective_size(values, codes), null, units - 1))
    residuals = sums[:, 0] - value * sizes
    skewness = float((residuals**3).mean() / max((residuals**2).mean() ** 1.5, 1e-300))
    skewed = johnson_p(value - null, stderr, skewness, units, freedom)
    return max(p, skewed)
