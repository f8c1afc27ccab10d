"""From what lm-eval keeps of one sample to the numbers an aggregation sums.

lm-eval hands each aggregation a list of items, one a sample, whose shape depends on the
aggregation: a number, a pair (log-likelihood, weight), (gold, predicted) or (reference, text). Here
one item becomes its sufficient statistics; `evalkit.metrics.aggregation` turns their sums into the
value.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from evalkit.metrics.calibration import calibration_statistics
from evalkit.metrics.classes import class_statistics

Statistics = tuple[float, ...]


def sample_statistics(aggregation: str, item: object) -> Statistics | None:
    """Sufficient statistics of one sample.

    Args:
        aggregation: lm-eval's name of the aggregation.
        item: What lm-eval's `process_results` gave for one document: a number (mean, nanmean,
            perplexity), (log-likelihood in nats, weight) for weighted_perplexity and bits_per_byte,
            (gold, predicted) class 0 or 1 for f1 and matthews_corrcoef, of several classes for
            precision_macro, recall_macro, f1_macro, f1_micro and mcc_classes, (gold, probabilities)
            for brier_score and ece, (reference or references, text) for bleu, chrf, chrf++ and ter.

    Returns:
        As many numbers as `AGGREGATIONS[aggregation].size`; None where the aggregation is no
        function of sums (`median`, `bypass`, a task's own function) or the item has not the shape
        it wants (more than two classes for F1, say): such a metric has a value but no interval.
    """
    extract = _EXTRACTORS.get(aggregation)
    if extract is None:
        return None
    try:
        return extract(item)
    except (TypeError, ValueError, KeyError, IndexError):
        return None


def _number(item: Any) -> Statistics:
    return (float(item),)


def _number_or_nan(item: Any) -> Statistics:
    value = float(item)
    return (0.0, 0.0) if math.isnan(value) else (value, 1.0)


def _weighted(item: Any) -> Statistics:
    loglikelihood, weight = item
    return (float(loglikelihood), float(weight))


def _confusion(item: Any) -> Statistics:
    """True positive, false positive, false negative or true negative."""
    gold, predicted = item
    place = {(1, 1): 0, (0, 1): 1, (1, 0): 2, (0, 0): 3}[gold, predicted]
    return tuple(float(place == cell) for cell in range(4))


def _brier(item: Any) -> Statistics:
    """Squared distance of the probabilities from the gold class (Brier 1950)."""
    gold, probabilities = item
    if not 0 <= gold < len(probabilities):
        raise IndexError(gold)
    return (sum((float(p) - (k == gold)) ** 2 for k, p in enumerate(probabilities)),)


def _text_pair(item: Any) -> tuple[list[str], str]:
    references, text = item
    if not isinstance(text, str):
        (text,) = text
    references = [references] if isinstance(references, str) else list(references)
    if not references or not all(isinstance(part, str) for part in (*references, text)):
        raise TypeError("expected texts")
    return references, text


def sacrebleu_metric(aggregation: str) -> Any:
    """Sacrebleu's metric of this name with its defaults, as lm-eval uses it; None for others."""
    # sacrebleu takes a tenth of a second to import; only these metrics need it.
    from sacrebleu.metrics import BLEU, CHRF, TER

    makers: dict[str, Callable[[], Any]] = {
        "bleu": lambda: BLEU(force=True),
        "chrf": CHRF,
        "chrf++": lambda: CHRF(word_order=2),
        "ter": TER,
    }
    return makers[aggregation]() if aggregation in makers else None


def _sacrebleu(aggregation: str) -> Callable[[Any], Statistics]:
    """Extractor by one of sacrebleu's metrics."""
    metric = cache(sacrebleu_metric)

    def extract(item: Any) -> Statistics:
        references, text = _text_pair(item)
        # sacrebleu's own significance tests are built on this method; goldens in the tests hold it.
        rows: Sequence[Sequence[float]] = metric(aggregation)._extract_corpus_statistics(
            [text], [[reference] for reference in references]
        )
        return tuple(float(number) for number in rows[0])

    return extract


_EXTRACTORS: dict[str, Callable[[Any], Statistics]] = {
    "mean": _number,
    "nanmean": _number_or_nan,
    "brier_score": _brier,
    "perplexity": _number,
    "weighted_perplexity": _weighted,
    "bits_per_byte": _weighted,
    "f1": _confusion,
    "matthews_corrcoef": _confusion,
    **{name: _sacrebleu(name) for name in ("bleu", "chrf", "chrf++", "ter")},
    "ece": calibration_statistics,
    **dict.fromkeys(
        ("precision_macro", "recall_macro", "f1_macro", "f1_micro", "mcc_classes"),
        class_statistics,
    ),
}
