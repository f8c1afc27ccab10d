"""How far a model's confidence is from how often it is right."""

import math
from typing import Any

import numpy as np

from evalkit.metrics.arrays import Array, ratio

BINS = 10
SIZE = 3 * BINS


def calibration_statistics(item: Any) -> tuple[float, ...]:
    """For each bin of confidence: samples, their confidence, how many are right.

    Args:
        item: (gold class, probabilities of the classes). The confidence is the largest of them;
            bin k holds those in (k / 10, (k + 1) / 10], the first one 0 as well.

    Raises:
        ValueError: A probability is no number.
    """
    gold, probabilities = item
    best = int(np.argmax(probabilities))
    confidence = float(probabilities[best])
    if not math.isfinite(confidence):
        raise ValueError(f"the probability {confidence} is no number")
    place = int(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence))
    blocks = np.zeros((3, BINS))
    blocks[:, place] = 1.0, confidence, float(best == gold)
    return tuple(blocks.ravel().tolist())


def expected_calibration_error(sums: Array, n: Array) -> Array:
    """Mean distance of confidence from accuracy over ten bins of equal width, weighted by samples.

    Source: Naeini et al. 2015; Guo et al. 2017, "On calibration of modern neural networks".
    """
    _, confidence, right = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, BINS), -2, 0)
    return ratio(np.abs(confidence - right).sum(axis=-1), n)
