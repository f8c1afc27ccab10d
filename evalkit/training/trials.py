"""The table of a search's trials, as Parquet and as Markdown."""

from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
from optuna.trial import FrozenTrial, TrialState
from tabulate import tabulate

PARQUET = "trials.parquet"
MARKDOWN = "trials.md"
REASON = "reason"
"""Attribute of a trial that says why it failed; one that was killed has none."""


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: completed, pruned, or failed for a reason."""
    return [
        trial
        for trial in study.trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state is TrialState.FAIL and REASON in trial.user_attrs)
    ]


def trial_rows(study: optuna.Study) -> list[dict[str, Any]]:
    """One row a trial, in the order in which they were begun."""
    rows = finished(study)
    keys = sorted({key for trial in rows for key in trial.params})
    return [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            study.user_attrs["metric"]: trial.value if trial.state is TrialState.COMPLETE else None,
            "steps": trial.last_step,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **{key: trial.params.get(key) for key in keys},
            REASON: trial.user_attrs.get(REASON),
        }
        for trial in rows
    ]


def write_trials(study: optuna.Study, out: Path) -> None:
    """Write both tables, each whole or not at all."""
    rows = trial_rows(study)
    unfinished = out / f".{PARQUET}.unfinished"
    pq.write_table(pa.Table.from_pylist(rows), unfinished)
    unfinished.replace(out / PARQUET)
    unfinished.write_text(markdown(study) + "\n", encoding="utf-8")
    unfinished.replace(out / MARKDOWN)


def markdown(study: optuna.Study) -> str:
    """The table as Markdown."""
    rows = [{k: v for k, v in row.items() if k != REASON or v} for row in trial_rows(study)]
    return tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".6g", missingval="")
