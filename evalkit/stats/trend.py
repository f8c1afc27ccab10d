"""Whether a metric moves along a series of runs: one test, not one at every step."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.stats.bootstrap import (
    DRAWS,
    bootstrap_p,
    effective_units,
    percentile_interval,
    resampled_sums,
)
from evalkit.stats.intervals import mean_stderr, t_interval
from evalkit.stats.jackknife import jackknife_stderr
from evalkit.stats.significance import sign_flip_p, t_p
from evalkit.stats.units import Array, cluster_codes, matrix, unit_sums

Aggregate = Callable[[Array, Array], Array]


@dataclass(frozen=True, slots=True)
class Trend:
    """Slope of a metric over a series of runs on the same samples.

    Attributes:
        slope: Change of the metric per unit of position.
        ci_low: Lower end of the 95 % interval.
        ci_high: Upper end of it.
        p: Two-sided p-value of no trend.
        test: Name of the test.
        n: Samples that all runs share.
    """

    slope: float
    ci_low: float | None
    ci_high: float | None
    p: float | None
    test: str
    n: int


def trend(
    series: Sequence[ArrayLike],
    positions: Sequence[float],
    aggregation: str,
    clusters: Sequence[Hashable | None] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Trend | None:
    """Least-squares slope of the runs' values over their positions, tested over samples.

    The slope is a linear contrast of the runs' values. For a mean it is the mean of each sample's
    own contrast, which is tested by flipping signs of samples, or of whole clusters; for corpus
    metrics samples are resampled together in all runs.

    Args:
        series: One a run: statistics, shape (n, k), row by row on the same documents.
        positions: One a run, such as its training step.
        aggregation: Name in `AGGREGATIONS`.
        clusters: Cluster id of each sample.
        seed: Seed of all resampling.
        draws: Resamples and sign patterns.

    Returns:
        None where a value is undefined, fewer than two samples or clusters are shared, or all
        positions are equal.

    Source: linear trend contrasts, Page 1963 and Rosenthal and Rosnow 1985.
    """
    runs = [matrix(statistics) for statistics in series]
    how, codes, n = AGGREGATIONS[aggregation], cluster_codes(clusters), len(runs[0])
    centred = np.asarray(positions, dtype=np.float64) - np.mean(positions)
    units = n if codes is None else int(codes.max()) + 1
    if units < 2 or not centred.any():
        return None
    weights = centred / (centred**2).sum()
    values = np.array([float(how.value(rows.sum(axis=0), np.array(n))) for rows in runs])
    if not np.isfinite(values).all():
        return None
    slope = float(weights @ values)
    prefix = "" if codes is None else "cluster "
    if how.is_mean:
        contrast = np.column_stack([rows[:, 0] for rows in runs]) @ weights
        low, high = t_interval(slope, mean_stderr(contrast, codes), units - 1)
        names = None if codes is None else codes.tolist()
        p: float | None = sign_flip_p(contrast, names, seed=seed, draws=draws)
        return Trend(slope, low, high, p, f"{prefix}sign-flip trend", n)
    parts = [unit_sums(rows, codes) for rows in runs]
    slopes = _drawn_slopes(parts, how.value, weights, seed, draws)
    worth = effective_units(parts[0][1])
    interval = percentile_interval(slopes, worth)
    p = None if interval is None else bootstrap_p(slopes, 0.0, worth)
    if p is not None:
        p = max(p, _jackknife_p(parts, how.value, weights, slope, worth))
    ends: tuple[float | None, float | None] = interval or (None, None)
    return Trend(slope, ends[0], ends[1], p, f"{prefix}bootstrap trend", n)


def _drawn_slopes(
    runs: list[tuple[Array, Array]], value: Aggregate, weights: Array, seed: int, draws: int
) -> Array:
    sizes = runs[0][1]
    k = runs[0][0].shape[1]
    drawn = resampled_sums(np.column_stack([*(sums for sums, _ in runs), sizes]), seed, draws)
    values = [value(drawn[:, i * k : (i + 1) * k], drawn[:, -1]) for i in range(len(runs))]
    slopes: Array = np.column_stack(values) @ weights
    return slopes


def _jackknife_p(
    runs: list[tuple[Array, Array]], value: Aggregate, weights: Array, slope: float, units: float
) -> float:
    """The slope's t test by leaving samples out: a second opinion where there are few of them."""
    k = runs[0][0].shape[1]

    def slopes(sums: Array, n: Array) -> Array:
        values = [value(sums[..., i * k : (i + 1) * k], n) for i in range(len(runs))]
        found: Array = np.stack(values, axis=-1) @ weights
        return found

    stderr = jackknife_stderr(np.column_stack([sums for sums, _ in runs]), runs[0][1], slopes)
    return t_p(slope, stderr, units - 1) if np.isfinite(stderr) else 0.0
