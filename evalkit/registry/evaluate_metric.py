"""Metrics of the `evaluate` library, named `evaluate/NAME` in a task file.

Importing the library takes seconds and its metrics are Python that somebody wrote, so neither
happens unless a task names one and the user trusts the task's folder.
"""

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, EvaluationError

PREFIX = "evaluate/"
WHOLE = "computed over all samples at once, so it has no interval"


def script_folder(name: str, folder: Path | None, mirror: Path | None) -> Path | None:
    """Folder of the metric's script, beside the task or in the mirror; None where in neither."""
    bases = [base for base in (folder, mirror and mirror / "metrics") if base is not None]
    for base in bases:
        found = base / name
        if (found / f"{found.name}.py").is_file():
            return found
    return None


class EvaluateMetric:
    """One metric of the library.

    Args:
        settings: Its entry in the task's `metric_list`; what is not evalkit's goes to `compute`.
        task: Name of the task, for complaints.
        folder: Folder of the task's YAML file.
        mirror: Folder in the hub's layout.

    Attributes:
        alone: Whether each sample is judged alone and the values are averaged. Otherwise the metric
            sees the whole corpus once; its value then has no interval.

    Raises:
        DataError: It cannot be loaded, or is to be aggregated as it cannot be.
    """

    def __init__(
        self, settings: Mapping[str, Any], task: str, folder: Path | None, mirror: Path | None
    ) -> None:
        ours = {"metric", "aggregation", "higher_is_better"}
        self.label = str(settings["metric"])
        self.alone = settings.get("aggregation") == "mean"
        self.higher_is_better: bool | None = settings.get("higher_is_better")
        self._task = task
        self._options = {k: v for k, v in settings.items() if k not in ours}
        if settings.get("aggregation") not in (None, "mean"):
            raise DataError(
                f"Task {task} aggregates {self.label} by {settings['aggregation']!r}; leave it out "
                "to judge the corpus at once, or say mean to judge each sample alone."
            )
        name = self.label.removeprefix(PREFIX)
        local = script_folder(name, folder, mirror)
        self._module = _load(name if local is None else str(local), self.label, task)

    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Figures of some answers, by name: the metric's own, or one for each number it returns.

        Raises:
            EvaluationError: The metric fails.
        """
        try:
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
                found = self._module.compute(
                    predictions=list(predictions), references=list(references), **self._options
                )
        except Exception as error:
            reason = str(error).strip().splitlines()
            raise EvaluationError(
                f"{self.label} cannot judge the answers of task {self._task}: "
                f"{reason[0] if reason else type(error).__name__}."
            ) from error
        return self._named(found)

    def _named(self, found: Any) -> dict[str, float]:
        numbers = {
            str(key): float(value)
            for key, value in (found or {}).items()
            if isinstance(value, int | float) or getattr(value, "ndim", None) == 0
        }
        numbers = {key: value for key, value in numbers.items() if math.isfinite(value)}
        if len(numbers) == 1:
            return {self.label: next(iter(numbers.values()))}
        return {f"{self.label}.{key}": value for key, value in numbers.items()}


def _load(path: str, label: str, task: str) -> Any:
    try:
        import evaluate

        return evaluate.load(path, keep_in_memory=True)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise DataError(
            f"Task {task} names the metric {label}, which cannot be loaded "
            f"({reason[0] if reason else type(error).__name__}); put its folder beside the task, "
            f"or bring it with: evalkit mirror add {task} --to MIRROR"
        ) from error
