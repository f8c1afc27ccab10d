"""Sampling units: documents, or whole families of them where documents are not independent."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.intp]


def cluster_codes(clusters: Sequence[Hashable | None] | None) -> Codes | None:
    """Number the clusters 0, 1, ... in order of appearance.

    Args:
        clusters: One id a sample; None for a sample that belongs to no family.

    Returns:
        One number a sample, or None where every sample stands alone.
    """
    if clusters is None or all(id_ is None for id_ in clusters):
        return None
    numbers: dict[Hashable, int] = {}
    keys = [("alone", row) if id_ is None else ("in", id_) for row, id_ in enumerate(clusters)]
    codes = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
    return None if len(numbers) == len(keys) else codes


def matrix(statistics: ArrayLike) -> Array:
    """Statistics as floats of shape (n, k); one number a sample may come as shape (n,)."""
    array = np.asarray(statistics, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def unit_sums(statistics: Array, codes: Codes | None) -> tuple[Array, Array]:
    """Sum statistics within each unit.

    Args:
        statistics: Shape (n, k).
        codes: From `cluster_codes`.

    Returns:
        Sums of shape (units, k) and the number of samples in each unit.
    """
    if codes is None:
        return statistics, np.ones(len(statistics))
    sizes = np.bincount(codes).astype(np.float64)
    columns = [np.bincount(codes, weights=column) for column in statistics.T]
    return np.column_stack(columns), sizes
