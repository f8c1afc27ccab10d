"""The value of a metric with its interval, by the method that suits its aggregation."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalkit.metrics.aggregation import AGGREGATIONS, Aggregation
from evalkit.stats.bootstrap import DRAWS, effective_units, percentile_interval, resampled_sums
from evalkit.stats.intervals import effective_size, mean_stderr, t_interval, wilson_interval
from evalkit.stats.units import Array, Codes, cluster_codes, matrix, unit_sums

FEW_CLUSTERS = 40


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric over samples; what is undefined is None.

    Attributes:
        value: In the metric's own unit.
        stderr: Standard error of the value.
        ci_low: Lower end of the interval.
        ci_high: Upper end of the interval.
        n: Number of samples.
        n_clusters: Number of clusters where samples come in families.
        method: How the interval was made.
        warning: A sentence where the interval rests on thin ground.
    """

    value: float | None
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_clusters: int | None = None
    method: str | None = None
    warning: str | None = None


def estimate(
    statistics: ArrayLike,
    aggregation: str | Aggregation,
    clusters: Sequence[Hashable | None] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    confidence: float = 0.95,
) -> Estimate:
    """Value and interval of a metric from its samples' statistics.

    Proportions get Wilson's interval, other means Student's t; where samples come in clusters both
    get cluster-robust errors and t on C - 1 degrees of freedom, proportions by way of the effective
    number of samples. Corpus metrics resample documents, or whole clusters, and take percentiles.

    Args:
        statistics: Shape (n, k), or (n,) where k is 1; k as the aggregation's `size`.
        aggregation: How sums become the value; a name in `AGGREGATIONS` or the thing itself.
        clusters: Cluster id of each sample, None for a sample that stands alone.
        seed: Seed of the bootstrap.
        draws: Resamples of the bootstrap.
        confidence: Share of such intervals that should hold the true value.

    Returns:
        With no sample, or an undefined value, nothing but n; with one sample or one cluster the
        value without an interval.
    """
    if isinstance(aggregation, str):
        aggregation = AGGREGATIONS[aggregation]
    rows = matrix(statistics)
    n = len(rows)
    value = float(aggregation.value(rows.sum(axis=0), np.array(n))) if n else float("nan")
    if not np.isfinite(value):
        return Estimate(None, None, None, None, n)
    codes = cluster_codes(clusters)
    units = n if codes is None else int(codes.max()) + 1
    n_clusters = None if codes is None else units
    if units < 2:
        return Estimate(value, None, None, None, n, n_clusters)
    if aggregation.is_mean:
        stderr, interval, method = _of_mean(rows[:, 0], codes, units, confidence)
    else:
        stderr, interval, method = _of_corpus(rows, aggregation, codes, seed, draws, confidence)
    low, high = interval or (None, None)
    return Estimate(value, stderr, low, high, n, n_clusters, method, _warning(n_clusters))


def is_binary(values: Array) -> bool:
    """Whether every value is 0 or 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())


_Spread = tuple[float | None, tuple[float, float] | None, str]


def _of_mean(values: Array, codes: Codes | None, units: int, confidence: float) -> _Spread:
    stderr, mean, n = mean_stderr(values, codes), float(values.mean()), len(values)
    if codes is None and is_binary(values):
        return stderr, wilson_interval(float(values.sum()), n, confidence), "wilson"
    if codes is not None and is_binary(values):
        size = effective_size(values, codes)
        interval = wilson_interval(mean * size, size, confidence, units - 1)
        return stderr, interval, "cluster wilson"
    method = "t" if codes is None else "cluster t"
    return stderr, t_interval(mean, stderr, units - 1, confidence), method


def _of_corpus(
    rows: Array,
    aggregation: Aggregation,
    codes: Codes | None,
    seed: int,
    draws: int,
    confidence: float,
) -> _Spread:
    sums, sizes = unit_sums(rows, codes)
    drawn = resampled_sums(np.column_stack([sums, sizes]), seed, draws)
    values = aggregation.value(drawn[:, :-1], drawn[:, -1])
    interval = percentile_interval(values, effective_units(sizes), confidence)
    method = "bootstrap" if codes is None else "cluster bootstrap"
    if interval is None:
        return None, None, method
    return float(np.std(values[np.isfinite(values)], ddof=1)), interval, method


def _warning(n_clusters: int | None) -> str | None:
    if n_clusters is None or n_clusters >= FEW_CLUSTERS:
        return None
    return f"only {n_clusters} clusters: the interval may be too narrow"
