"""Resampling of whole units, vectorised over draws."""

import math

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 10_000
_CELLS = 2_000_000
_COUNTED = 100_000  # so many at once stay in the processor's cache


def resampled_sums(units: Array, seed: int, draws: int = DRAWS) -> Array:
    """Sums over units drawn with replacement, once a draw.

    Each row of the result needs only how often each unit was drawn, so all rows are one matrix
    product. The result does not depend on how the work is cut into blocks.

    Args:
        units: Shape (units, k).
        seed: Seed of the random stream.
        draws: Number of resamples.

    Returns:
        Shape (draws, k).

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    n = len(units)
    random = np.random.default_rng(seed)
    sums = np.empty((draws, units.shape[1]))
    block = max(1, _CELLS // n)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        sums[start : start + rows] = _times_drawn(random, rows, n) @ units
    return sums


def _times_drawn(random: np.random.Generator, rows: int, n: int) -> Array:
    """How often each of n units was drawn, n times with replacement, once a row."""
    counts = np.empty((rows, n))
    block = max(1, _COUNTED // n)
    for start in range(0, rows, block):
        some = min(block, rows - start)
        drawn = random.integers(0, n, (some, n)) + np.arange(0, some * n, n)[:, None]
        found = np.bincount(drawn.ravel(), minlength=some * n)
        counts[start : start + some] = found.reshape(some, n)
    return counts


def percentile_interval(
    values: Array, units: float, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Central interval of bootstrap values; None where half of the draws or more are undefined.

    The percentiles are moved outwards, as far as t lies from z and the divisor n - 1 from n: the
    plain ones are too close on few units.

    Args:
        values: One a draw.
        units: Units that were drawn from, as `effective_units` counts them.
        confidence: Share of such intervals that should hold the true value.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13; expanded as
    by Hesterberg 2015, "What teachers should know about the bootstrap", section 3.6.
    """
    finite = values[np.isfinite(values)]
    if 2 * len(finite) <= len(values):
        return None
    reach = _stretch(units) * float(scipy.special.stdtrit(units - 1, (1 + confidence) / 2))
    low, high = np.quantile(finite, scipy.special.ndtr([-reach, reach]))
    return float(low), float(high)


def bootstrap_p(values: Array, null: float, units: float) -> float:
    """Two-sided p-value of `null`: the level at which `percentile_interval` just reaches it.

    Undefined values speak for the null; so does one draw more than there were.

    Args:
        values: One a draw.
        null: Value under the null hypothesis.
        units: Units that were drawn from, as `effective_units` counts them.
    """
    finite = values[np.isfinite(values)]
    below = float((finite < null).sum()) + float((finite == null).sum()) / 2
    rest = len(finite) - below
    tail = (min(below, rest) + len(values) - len(finite) + 1) / (len(values) + 1)
    if tail >= 0.5:
        return 1.0
    distance = float(scipy.special.ndtri(tail)) / _stretch(units)
    return 2 * float(scipy.special.stdtr(units - 1, distance))


def effective_units(sizes: Array) -> float:
    """As many units of one size as units of these sizes are worth; no fewer than 2.

    Source: Kish 1965; for few clusters Carter, Schnepel and Steigerwald 2017.
    """
    return max(2.0, float(sizes.sum() ** 2 / (sizes**2).sum()))


def _stretch(units: float) -> float:
    return math.sqrt(units / (units - 1))
