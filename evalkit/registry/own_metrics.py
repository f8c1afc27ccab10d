"""evalkit's own metrics of YAML tasks, by the name a task's `metric_list` or its family gives them.

lm-eval computes its own metrics; these are computed beside them, from the same filtered answers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from evalkit.metrics.rouge import KINDS, rouge
from evalkit.metrics.rouge import signature as rouge_signature
from evalkit.metrics.signature import signature
from evalkit.metrics.squad import token_f1
from evalkit.types import Metric

CHOICE, TEXT = "multiple_choice", "generate_until"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model's log-likelihoods (nats) of the choices; the gold one is negative where outside."""

    gold: int
    loglikelihoods: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote, and the texts that would have been right."""

    text: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """A metric of ours.

    Attributes:
        output: lm-eval's type of the answers it judges.
        aggregation: Name in `evalkit.metrics.aggregation.AGGREGATIONS`.
        item: From `Chosen` or `Written` to what `sample_statistics` takes.
    """

    output: str
    aggregation: str
    item: Callable[[Any], object]
    higher_is_better: bool = True

    @property
    def metric(self) -> Metric:
        """As the runner knows it."""
        return Metric(self.aggregation, self.higher_is_better)


def own_metrics(names: Sequence[str], output_type: str) -> dict[str, OwnMetric]:
    """Those of the names that are ours and judge such answers."""
    return {name: OWN[name] for name in names if name in OWN and OWN[name].output == output_type}


def signatures(metrics: Mapping[str, Metric], references: set[int]) -> dict[str, str]:
    """How the metrics that need it were computed.

    Args:
        metrics: Those of a task.
        references: Numbers of references that its samples had.
    """
    number = next(iter(references)) if len(references) == 1 else None
    found = {
        name: rouge_signature() if name in KINDS else signature(metric.aggregation, number)
        for name, metric in metrics.items()
    }
    return {name: text for name, text in found.items() if text}


def _classes(case: Chosen) -> object:
    return case.gold, int(np.argmax(case.loglikelihoods))


def _probabilities(case: Chosen) -> object:
    """(gold, softmax over the choices), as lm-eval's brier_score has it; None where outside."""
    if case.gold < 0:
        return None
    values = np.asarray(case.loglikelihoods)
    weights = np.exp(values - values.max())
    return case.gold, weights / weights.sum()


def _pair(case: Written) -> object:
    return list(case.references), case.text


def _token_f1(case: Written) -> object:
    return token_f1(case.text, case.references)


def _rouge(kind: str) -> Callable[[Written], object]:
    return lambda case: _all_rouge(case)[kind]


@lru_cache(maxsize=1)
def _all_rouge(case: Written) -> dict[str, float]:
    """All kinds of one answer; the four metrics ask one after another."""
    return rouge(case.text, case.references)


OWN: dict[str, OwnMetric] = {
    "ece": OwnMetric(CHOICE, "ece", _probabilities, higher_is_better=False),
    "brier_score": OwnMetric(CHOICE, "brier_score", _probabilities, higher_is_better=False),
    "precision_macro": OwnMetric(CHOICE, "precision_macro", _classes),
    "recall_macro": OwnMetric(CHOICE, "recall_macro", _classes),
    "f1_macro": OwnMetric(CHOICE, "f1_macro", _classes),
    "f1_micro": OwnMetric(CHOICE, "f1_micro", _classes),
    "mcc": OwnMetric(CHOICE, "mcc_classes", _classes),
    "token_f1": OwnMetric(TEXT, "mean", _token_f1),
    **{kind: OwnMetric(TEXT, "mean", _rouge(kind)) for kind in KINDS},
    "bleu": OwnMetric(TEXT, "bleu", _pair),
    "chrf": OwnMetric(TEXT, "chrf", _pair),
    "ter": OwnMetric(TEXT, "ter", _pair, higher_is_better=False),
}
"""brier_score, mcc, bleu, chrf and ter are lm-eval's names, ours only where a family adds them."""
