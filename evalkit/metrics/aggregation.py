"""How per-sample statistics become a score.

Every aggregation is a function of *sums* of per-sample statistics. A mean sums one number a sample,
a perplexity two (log-likelihood and weight), BLEU ten (lengths and n-gram counts). Because sums are
all it takes, documents can be resampled by one matrix product, for any metric.

The names are those of `lm_eval.api.registry.AGGREGATION_REGISTRY`, and further ones of our own.
Absent are `median` and `bypass`, which are no functions of sums.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evalkit.metrics import calibration, classes
from evalkit.metrics.arrays import Array
from evalkit.metrics.arrays import ratio as _ratio

_BLEU_ORDER = 4
_CHRF_BETA = 2


@dataclass(frozen=True, slots=True)
class Aggregation:
    """From summed statistics to a value.

    Attributes:
        value: Maps sums of shape (..., size) and the number of samples (...) to values (...);
            NaN where undefined.
        size: Numbers a sample contributes.
        is_mean: Whether the value is the plain mean of one number a sample.
        right: For metrics of classes, whether each sample (n, size) is told rightly: 1 or 0.
    """

    value: Callable[[Array, Array], Array]
    size: int = 1
    is_mean: bool = False
    right: Callable[[Array], Array] | None = None

    def sample_values(self, statistics: Array) -> Array:
        """What each sample says alone, shape (n,) from (n, size): its value, NaN where undefined.

        A single sample has no F1 and no correlation; what it has is a class told rightly (1) or
        not (0).
        """
        if self.right is not None:
            return self.right(statistics)
        return self.value(statistics, np.ones(len(statistics)))


def _exp(power: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(power)


def _agrees(statistics: Array) -> Array:
    """Whether a sample's one cell of a two-class confusion matrix is on its diagonal."""
    told: Array = statistics[:, 0] + statistics[:, 3]
    return told


def _mean(sums: Array, n: Array) -> Array:
    return _ratio(sums[..., 0], n)


def _nanmean(sums: Array, n: Array) -> Array:
    """Mean of the samples that have a value; statistics (value or 0, 1 if it has one)."""
    return _ratio(sums[..., 0], sums[..., 1])


def _perplexity(sums: Array, n: Array) -> Array:
    """Exponential of the mean negative log-likelihood; statistics (log-likelihood,)."""
    return _exp(-_ratio(sums[..., 0], n))


def _weighted_perplexity(sums: Array, n: Array) -> Array:
    """Exponential of the negative log-likelihood per unit of weight, a word or byte.

    Statistics: log-likelihood, weight.
    """
    return _exp(-_ratio(sums[..., 0], sums[..., 1]))


def _bits_per_byte(sums: Array, n: Array) -> Array:
    """Negative log2-likelihood per byte; statistics (log-likelihood in nats, bytes)."""
    bits: Array = -_ratio(sums[..., 0], sums[..., 1]) / np.log(2)
    return bits


def _f1(sums: Array, n: Array) -> Array:
    """F1 of class 1 (van Rijsbergen 1979).

    Statistics: true positives, false positives, false negatives, true negatives. Undefined where
    class 1 neither occurs nor is predicted; scikit-learn says 0 there.
    """
    tp, fp, fn, _ = np.moveaxis(sums, -1, 0)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _matthews_corrcoef(sums: Array, n: Array) -> Array:
    """Matthews correlation (Matthews 1975) of two classes; statistics as for F1.

    Where a class never occurs or is never predicted the value is the limit, 0, as in scikit-learn.
    """
    tp, fp, fn, tn = np.moveaxis(sums, -1, 0)
    root = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    value = np.nan_to_num(_ratio(tp * tn - fp * fn, root))
    return np.where(tp + fp + fn + tn == 0, np.nan, value)


def _bleu(sums: Array, n: Array) -> Array:
    """Corpus BLEU in percent (Papineni et al. 2002), smoothed as `sacrebleu.corpus_bleu` does.

    Statistics: system length, reference length, correct 1- to 4-grams, total 1- to 4-grams.
    """
    system, reference = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + _BLEU_ORDER], sums[..., 2 + _BLEU_ORDER :]
    # NIST smoothing: the k-th order without a match counts as half as many as the one before.
    halvings = 2.0 ** np.cumsum(correct == 0, axis=-1)
    precisions = _ratio(np.where(correct == 0, 1 / halvings, correct), total)
    shortness = np.minimum(0.0, 1 - np.nan_to_num(_ratio(reference, system)))
    with np.errstate(invalid="ignore", divide="ignore"):
        score = 100 * np.exp(shortness + np.log(precisions).mean(axis=-1))
    score = np.where((total == 0).any(axis=-1) | (correct == 0).all(axis=-1), 0.0, score)
    return np.where(n == 0, np.nan, score)


def _chrf(sums: Array, n: Array) -> Array:
    """Corpus chrF or chrF++ in percent (Popović 2015, 2017), as `sacrebleu.corpus_chrf` does.

    Statistics: for each n-gram order the n-grams of the system, of the reference, and in both.
    """
    system, reference, matches = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
    present = (system > 0) & (reference > 0)
    orders = present.sum(axis=-1)
    precision = _ratio(np.where(present, _ratio(matches, system), 0.0).sum(axis=-1), orders)
    recall = _ratio(np.where(present, _ratio(matches, reference), 0.0).sum(axis=-1), orders)
    weight = _CHRF_BETA**2
    score = 100 * _ratio((1 + weight) * precision * recall, weight * precision + recall)
    return np.where(n == 0, np.nan, np.nan_to_num(score))


def _ter(sums: Array, n: Array) -> Array:
    """Translation edit rate in percent (Snover et al. 2006), as `sacrebleu.corpus_ter` does.

    Statistics: edits, mean reference length.
    """
    edits, length = sums[..., 0], sums[..., 1]
    rate = np.where(length > 0, _ratio(edits, length), np.where(edits > 0, 1.0, 0.0))
    return np.where(n == 0, np.nan, 100 * rate)


AGGREGATIONS: dict[str, Aggregation] = {
    "mean": Aggregation(_mean, is_mean=True),
    "nanmean": Aggregation(_nanmean, size=2),
    "brier_score": Aggregation(_mean, is_mean=True),
    "perplexity": Aggregation(_perplexity),
    "weighted_perplexity": Aggregation(_weighted_perplexity, size=2),
    "bits_per_byte": Aggregation(_bits_per_byte, size=2),
    "f1": Aggregation(_f1, size=4, right=_agrees),
    "matthews_corrcoef": Aggregation(_matthews_corrcoef, size=4, right=_agrees),
    "bleu": Aggregation(_bleu, size=2 + 2 * _BLEU_ORDER),
    "chrf": Aggregation(_chrf, size=3 * 6),
    "chrf++": Aggregation(_chrf, size=3 * 8),
    "ter": Aggregation(_ter, size=2),
    "ece": Aggregation(calibration.expected_calibration_error, size=calibration.SIZE),
    "precision_macro": Aggregation(classes.precision_macro, classes.SIZE, right=classes.agrees),
    "recall_macro": Aggregation(classes.recall_macro, classes.SIZE, right=classes.agrees),
    "f1_macro": Aggregation(classes.f1_macro, classes.SIZE, right=classes.agrees),
    "f1_micro": Aggregation(classes.f1_micro, classes.SIZE, right=classes.agrees),
    "mcc_classes": Aggregation(classes.mcc_classes, classes.SIZE, right=classes.agrees),
}
