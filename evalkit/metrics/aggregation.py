"""How per-sample statistics become a score.

Every aggregation is a function of *sums* of per-sample statistics. A mean sums one number a sample,
a perplexity two (log-likelihood and weight), BLEU ten (lengths and n-gram counts). Because sums are
all it takes, documents can be resampled by one matrix product, for any metric.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics import BLEU

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """From summed statistics to a value.

    Attributes:
        value: Maps sums of shape (..., k) and the number of samples (...) to values (...);
            NaN where undefined.
        is_mean: Whether the value is the plain mean of one number a sample.
    """

    value: Callable[[Array, Array], Array]
    is_mean: bool = False


def _mean(sums: Array, n: Array) -> Array:
    return np.divide(sums[..., 0], n)


def _perplexity(sums: Array, n: Array) -> Array:
    """exp of the mean negative log-likelihood; statistics (log-likelihood,)."""
    return np.exp(-sums[..., 0] / n)


def _weighted_perplexity(sums: Array, n: Array) -> Array:
    """exp of the negative log-likelihood per word or byte; statistics (log-likelihood, weight)."""
    return np.exp(-sums[..., 0] / sums[..., 1])


def _bits_per_byte(sums: Array, n: Array) -> Array:
    return -sums[..., 0] / (sums[..., 1] * np.log(2))


def _f1(sums: Array, n: Array) -> Array:
    """F1 of the positive class; statistics (true pos., false pos., false neg., true neg.)."""
    tp, fp, fn, _ = np.moveaxis(sums, -1, 0)
    return 2 * tp / (2 * tp + fp + fn)


def _mcc(sums: Array, n: Array) -> Array:
    """Matthews correlation (Matthews 1975) of two classes; statistics as for F1."""
    tp, fp, fn, tn = np.moveaxis(sums, -1, 0)
    root = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.where(root == 0, 0.0, (tp * tn - fp * fn) / np.where(root == 0, 1.0, root))


def _bleu(sums: Array, n: Array) -> Array:
    """Corpus BLEU by sacrebleu; statistics (system length, reference length, 4 correct, 4 total)."""
    flat = sums.reshape(-1, 10)
    values = [
        BLEU.compute_bleu(
            correct=[int(c) for c in row[2:6]],
            total=[int(t) for t in row[6:10]],
            sys_len=int(row[0]),
            ref_len=int(row[1]),
            smooth_method="exp",
        ).score
        for row in flat
    ]
    return np.asarray(values).reshape(sums.shape[:-1])


AGGREGATIONS: dict[str, Aggregation] = {
    "mean": Aggregation(_mean, is_mean=True),
    "perplexity": Aggregation(_perplexity),
    "weighted_perplexity": Aggregation(_weighted_perplexity),
    "bits_per_byte": Aggregation(_bits_per_byte),
    "f1": Aggregation(_f1),
    "mcc": Aggregation(_mcc),
    "bleu": Aggregation(_bleu),
}
