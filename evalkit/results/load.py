"""A store's tables as pandas frames, with filters that reach down to the files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from evalkit.results.store import Store


def load_scores(
    store: str | Path,
    runs: Sequence[str] | None = None,
    *,
    task: str | None = None,
    metric: str | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Scores of a store's runs; columns as `evalkit.results.schema.SCORES`.

    Args:
        store: Folder or URL.
        runs: Ids, names, `tag:KEY=VALUE` or `latest`; every complete run by default.
        task: Only this task's.
        metric: Only this metric's.
        columns: Only these columns are read.

    Raises:
        UsageError: A run is unknown.
        DataError: A run's scores are damaged.
    """
    opened = Store(store)
    ids = None if runs is None else [opened.resolve(run).run_id for run in runs]
    return opened.scores(ids, task=task, metric=metric, columns=columns)


def load_samples(
    store: str | Path,
    run: str,
    task: str,
    *,
    columns: Sequence[str] | None = None,
    first: int | None = None,
    last: int | None = None,
) -> pd.DataFrame:
    """Samples of one task of a run; columns as `evalkit.results.schema.SAMPLES`.

    Args:
        store: Folder or URL.
        run: Id, name, `tag:KEY=VALUE` or `latest`.
        task: Name of the task.
        columns: Only these columns are read.
        first: Smallest `doc_id`; only the parts of the file that hold the range are read.
        last: Largest `doc_id`.

    Raises:
        UsageError: The run is unknown.
        DataError: The samples are missing or damaged.
    """
    opened = Store(store)
    run_id = opened.resolve(run).run_id
    return opened.samples(run_id, task, columns, first=first, last=last)


def load_timings(store: str | Path, run: str) -> pd.DataFrame:
    """Timings of a run; columns as `evalkit.results.schema.TIMINGS`.

    Raises:
        UsageError: The run is unknown.
        DataError: The timings are missing or damaged.
    """
    opened = Store(store)
    return opened.timings(opened.resolve(run).run_id)
