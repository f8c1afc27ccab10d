"""The metrics of a YAML task that lm-eval does not compute: evalkit's own and `evaluate/NAME`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalkit.metrics.statistics import sample_statistics
from evalkit.registry.evaluate_metric import EvaluateMetric
from evalkit.registry.own_metrics import Chosen, OwnMetric, Written
from evalkit.types import Metric

CUSTOM = "custom"
Case = Chosen | Written


class Judge:
    """Judges answers one by one, and all together where a metric cannot do otherwise.

    Attributes:
        metrics: How the statistics become scores, by name; complete after the judging.
        values: (metric, filter) -> value of a metric that saw all answers at once.
    """

    def __init__(self, own: Mapping[str, OwnMetric], foreign: Sequence[EvaluateMetric]) -> None:
        self.metrics: dict[str, Metric] = {}
        self.values: dict[tuple[str, str], float] = {}
        self._own = own
        self._foreign = foreign

    @property
    def listed(self) -> dict[str, Metric]:
        """Metrics by name before anything is judged; one of the library may yet have several."""
        own = {name: metric.metric for name, metric in self._own.items()}
        return own | {
            m.label: Metric("mean" if m.alone else CUSTOM, m.higher_is_better)
            for m in self._foreign
        }

    def rehearse(self, case: Case) -> None:
        """Judge a right answer, so that a metric that fails does so before a model is asked.

        Raises:
            EvaluationError: A metric of the evaluate library fails.
        """
        for metric in self._foreign:
            metric.compute(*_compared([case]))

    def alone(self, case: Case) -> dict[str, tuple[float, ...]]:
        """Statistics of one answer, by metric.

        Raises:
            EvaluationError: A metric of the evaluate library fails.
        """
        found: dict[str, tuple[float, ...]] = {}
        for name, own in self._own.items():
            item = own.item(case)
            statistics = None if item is None else sample_statistics(own.aggregation, item)
            if statistics is not None:
                found[name] = statistics
                self.metrics[name] = own.metric
        for metric in self._foreign:
            if metric.alone:
                for name, value in metric.compute(*_compared([case])).items():
                    found[name] = (value,)
                    self.metrics[name] = Metric("mean", metric.higher_is_better)
        return found

    def together(self, cases: Sequence[Case], filter_name: str) -> list[str]:
        """Judge all answers of a filter at once; returns the names of the metrics that did.

        Raises:
            EvaluationError: A metric fails.
        """
        names = []
        for metric in self._foreign:
            if not metric.alone and cases:
                for name, value in metric.compute(*_compared(cases)).items():
                    self.values[name, filter_name] = value
                    self.metrics[name] = Metric(CUSTOM, metric.higher_is_better)
                    names.append(name)
        return names


def _compared(cases: Sequence[Case]) -> tuple[list[Any], list[Any]]:
    """Predictions and references: class numbers, or texts."""
    predictions: list[Any] = []
    references: list[Any] = []
    several = any(isinstance(case, Written) and len(case.references) != 1 for case in cases)
    for case in cases:
        if isinstance(case, Chosen):
            predictions.append(int(np.argmax(case.loglikelihoods)))
            references.append(case.gold)
        else:
            predictions.append(case.text)
            references.append(list(case.references) if several else case.references[0])
    return predictions, references
