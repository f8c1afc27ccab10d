"""Precision, recall, F1 and correlation of several classes, from sums of counts.

A sample's statistics are three blocks of `SLOTS` numbers: its gold class, its predicted class, and
its class if both agree, each as a one among zeros. A class that neither occurs nor is predicted is
left out, as in scikit-learn, so that unused slots change nothing.
"""

from typing import Any

import numpy as np

from evalkit.metrics.arrays import Array, ratio

SLOTS = 10
SIZE = 3 * SLOTS
_OUTSIDE = SLOTS - 1


def class_statistics(item: Any) -> tuple[float, ...]:
    """One sample's counts from (gold, predicted) class numbers.

    A negative class, an answer outside the choices, is a class of its own.

    Raises:
        IndexError: A class number is beyond the slots.
    """
    blocks = np.zeros((3, SLOTS))
    gold, predicted = (_slot(int(number)) for number in item)
    blocks[0, gold] = blocks[1, predicted] = 1
    blocks[2, gold] = float(gold == predicted)
    return tuple(blocks.ravel().tolist())


def _slot(number: int) -> int:
    if number >= _OUTSIDE:
        raise IndexError(number)
    return number if number >= 0 else _OUTSIDE


def agrees(statistics: Array) -> Array:
    """Whether the two classes of each sample, shape (n, SIZE), are the same: 1 or 0."""
    told: Array = statistics[:, 2 * SLOTS :].sum(axis=-1)
    return told


def f1_macro(sums: Array, n: Array) -> Array:
    """Mean of the classes' F1 (van Rijsbergen 1979), as scikit-learn's `average="macro"`."""
    gold, predicted, right = _blocks(sums)
    return _class_mean(ratio(2 * right, gold + predicted), gold, predicted)


def precision_macro(sums: Array, n: Array) -> Array:
    """Mean of the classes' precision; 0 for a class that is never predicted, as in scikit-learn."""
    gold, predicted, right = _blocks(sums)
    return _class_mean(ratio(right, predicted), gold, predicted)


def recall_macro(sums: Array, n: Array) -> Array:
    """Mean of the classes' recall; 0 for a class that never occurs, as in scikit-learn."""
    gold, predicted, right = _blocks(sums)
    return _class_mean(ratio(right, gold), gold, predicted)


def f1_micro(sums: Array, n: Array) -> Array:
    """F1 of all classes' counts together; with one answer a sample it equals accuracy."""
    gold, predicted, right = (block.sum(axis=-1) for block in _blocks(sums))
    return ratio(2 * right, gold + predicted)


def mcc_classes(sums: Array, n: Array) -> Array:
    """Matthews correlation of several classes (Gorodkin 2004); its limit, 0, where undefined."""
    gold, predicted, right = _blocks(sums)
    total, hits = gold.sum(axis=-1), right.sum(axis=-1)
    both = hits * total - (gold * predicted).sum(axis=-1)
    alone = (total**2 - (gold**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    value = np.nan_to_num(ratio(both, np.sqrt(alone)))
    return np.where(total == 0, np.nan, value)


def _blocks(sums: Array) -> tuple[Array, Array, Array]:
    gold, predicted, right = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, SLOTS), -2, 0)
    return gold, predicted, right


def _class_mean(values: Array, gold: Array, predicted: Array) -> Array:
    present = (gold + predicted > 0).sum(axis=-1)
    return ratio(np.nan_to_num(values).sum(axis=-1), present)
