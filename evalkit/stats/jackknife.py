"""Leaving each unit out once: errors of anything that is a function of sums."""

import math
from collections.abc import Callable

import numpy as np

from evalkit.stats.units import Array


def jackknife(values_without: Array, value: float) -> tuple[float, float]:
    """Bias-free estimate and deviation of one unit's influence, from leave-one-out values.

    Args:
        values_without: The estimate without each unit in turn, shape (n,).
        value: The estimate with all of them.

    Source: Quenouille 1956; Tukey 1958.
    """
    n = len(values_without)
    centre = float(values_without.mean())
    deviation = math.sqrt((n - 1) * float(((values_without - centre) ** 2).sum()))
    return n * value - (n - 1) * centre, deviation


def jackknife_stderr(sums: Array, sizes: Array, value: Callable[[Array, Array], Array]) -> float:
    """Standard error of a function of sums; NaN where it is undefined without some unit.

    Args:
        sums: Summed statistics of each unit, shape (units, k).
        sizes: Samples in each unit.
        value: Maps sums of shape (..., k) and sizes (...) to values (...).
    """
    without = value(sums.sum(axis=0) - sums, sizes.sum() - sizes)
    _, deviation = jackknife(without, 0.0)
    return float(deviation / np.sqrt(len(sums)))
