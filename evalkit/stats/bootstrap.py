"""Resampling of whole units, vectorised over draws."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 10_000
_CELLS = 2_000_000


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
        counts = np.empty((rows, n))
        for row in range(rows):
            counts[row] = np.bincount(random.integers(0, n, n), minlength=n)
        sums[start : start + rows] = counts @ units
    return sums


def percentile_interval(values: Array, confidence: float = 0.95) -> tuple[float, float] | None:
    """Central interval of bootstrap values; None where half of the draws or more are undefined.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
    """
    finite = values[np.isfinite(values)]
    if 2 * len(finite) <= len(values):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_p(values: Array, observed: float, null: float) -> float:
    """Two-sided p-value of `null`: bootstrap values, centred on it, as far off as the observed one.

    Undefined values count as far off; the observed value counts as one of the draws.

    Source: Efron and Tibshirani 1993, chapter 16; for translation Koehn 2004.
    """
    bar = abs(observed - null) * (1 - 1e-9)
    near = int((np.abs(values - observed) < bar).sum())
    return (len(values) - near + 1) / (len(values) + 1)
