"""Questions over all runs of a store, answered as frames that are ready to draw."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.results.index import run_stamps, uncollected
from evalkit.results.manifest import Manifest
from evalkit.results.primary import primary_metric
from evalkit.results.store import Store
from evalkit.types import digest

FIGURE = ["task", "metric", "filter", "num_fewshot"]
"""What makes two scores the same figure: only then may they stand in one column."""

_HASHES = ["config_hash", "data_hash"]
_UNCOMPARED = {
    "run_id",
    "name",
    "created",
    "duration_s",
    "schema_version",
    "warnings",
    "resumed",
    "reused",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything a store holds, short of samples and timings.

    Attributes:
        manifests: Run id -> manifest, newest first.
        runs: One row a run, newest first: run_id, label (name, made unique), name, created (UTC),
            model, parameters, tags (list of "key=value"), tasks (count), duration_s (seconds).
        scores: Columns of `SCORES` with `figure` (column heading, unique for task, metric, filter
            and shots), `primary`, `config_hash` and `data_hash` of the task as it was run.
        suites: The scores of suites, in the same columns; both hashes are over those of its tasks.
        problems: A sentence on each run that could not be read.
    """

    manifests: dict[str, Manifest]
    runs: pd.DataFrame
    scores: pd.DataFrame
    suites: pd.DataFrame
    problems: list[str]


def fingerprint(store: Store) -> str:
    """Changes whenever a run is added to the store, replaced or removed; reads no file."""
    return digest(run_stamps(store.place))


def overview(store: Store) -> Overview:
    """Read the manifests and scores of all complete runs; damaged ones become `problems`."""
    with uncollected():
        return _overview(store)


def _overview(store: Store) -> Overview:
    listing = store.listing()
    damaged: dict[str, str] = {}
    scores = store.scores([run.run_id for run in listing.runs], problems=damaged)
    for run_id in scores.loc[scores[["task", "metric"]].isna().any(axis=1), "run_id"].unique():
        damaged[run_id] = f"{store.path_of(run_id)}/scores.parquet names no task or no metric."
    manifests = {run.run_id: run for run in reversed(listing.runs) if run.run_id not in damaged}
    # Newest first, each run's scores in their own order.
    newness = pd.Index(list(manifests), dtype="str").get_indexer(pd.Index(scores["run_id"]))
    order = np.argsort(newness, kind="stable")
    scores = scores.take(order[newness[order] >= 0]).reset_index(drop=True)
    of_suites = scores["tasks"].notna()
    figures, suites = (
        _with_figures(scores[rows].reset_index(drop=True), _hashes(manifests))
        for rows in (~of_suites, of_suites)
    )
    problems = [*listing.problems, *damaged.values()]
    return Overview(manifests, _runs(manifests), figures, suites, problems)


def leaderboard(scores: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """One row for each run and figure, with what stands out in each figure.

    Args:
        scores: Rows of `Overview.scores` of the runs and tasks wanted.
        metric: Metric to show; each task's primary one by default.

    Returns:
        The scores with `comparable` (measured on the same task definition and documents as most
        runs, the newest deciding ties) and `mark`: "best" for the best comparable value of its
        figure, "tied" where the 95 % interval of the difference to it includes 0, "" elsewhere.
        The interval of the difference is MOVER's, from the two intervals as if the runs were
        independent (Zou and Donner, 2008, Statistics in Medicine 27), so it calls a tie too often
        rather than too seldom; `evalkit compare` pairs the samples and can tell more apart.
    """
    wanted = scores["primary"] if metric is None else scores["metric"] == metric
    board = scores[wanted].copy()
    board["comparable"] = _comparable(board)
    board["mark"] = ""
    marked = [
        pd.Series(_marks(rows), index=rows.index)
        for _, rows in board[board["comparable"]].groupby("figure", sort=False)
    ]
    if marked:
        marks = pd.concat(marked)
        board.loc[marks.index, "mark"] = marks
    return board.reset_index(drop=True)


def task_overview(view: Overview) -> pd.DataFrame:
    """One row for each task as it was run: task, family, version, num_fewshot, documents, requests.

    With them `metric` (the primary figure), `figures` (all of them), `config_hash`, `data_hash`,
    `source`, `licence`, `runs` (count) and `run_id` (the newest run that asked it).
    """
    found: dict[tuple[object, ...], dict[str, Any]] = {}
    for run_id, manifest in view.manifests.items():
        for task, record in manifest.tasks.items():
            same = (task, record.num_fewshot, record.config_hash, record.data_hash)
            if same not in found:
                found[same] = {"run_id": run_id, "task": task, **record.model_dump(), "runs": 0}
            found[same]["runs"] += 1
    columns = ["run_id", "task", "family", "version", "num_fewshot", "documents", "requests"]
    columns += ["config_hash", "data_hash", "source", "licence", "runs"]
    merged = pd.DataFrame(list(found.values()), columns=columns)
    chosen = view.scores[view.scores["primary"]].drop_duplicates("task")
    merged["metric"] = merged["task"].map(chosen.set_index("task")["metric"])
    reported = view.scores.groupby("task")["metric"].unique().map(list)
    merged["figures"] = merged["task"].map(reported)
    return merged.sort_values(["family", "task"], kind="stable").reset_index(drop=True)


def manifest_differences(a: Manifest, b: Manifest) -> pd.DataFrame:
    """What differs between two manifests, identity and times aside: setting, a, b as text."""
    left, right = _flat(a.model_dump(exclude=_UNCOMPARED)), _flat(b.model_dump(exclude=_UNCOMPARED))
    rows = [
        (name, left.get(name, ""), right.get(name, ""))
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    ]
    return pd.DataFrame(rows, columns=["setting", "a", "b"])


def _runs(manifests: dict[str, Manifest]) -> pd.DataFrame:
    rows = [
        {
            "run_id": run.run_id,
            "label": run.name,
            "name": run.name,
            "created": run.created,
            "model": run.model.name,
            "parameters": run.model.parameters,
            "tags": [f"{key}={value}" for key, value in run.tags.items()],
            "tasks": len(run.tasks),
            "duration_s": run.duration_s,
        }
        for run in manifests.values()
    ]
    columns = ["run_id", "label", "name", "created", "model", "parameters", "tags", "tasks"]
    frame = pd.DataFrame(rows, columns=[*columns, "duration_s"])
    frame["created"] = pd.to_datetime(frame["created"], errors="coerce", utc=True, format="ISO8601")
    repeated = frame["name"].duplicated(keep=False)
    frame.loc[repeated, "label"] = frame["name"] + " · " + frame["run_id"]
    return frame


def _hashes(manifests: dict[str, Manifest]) -> pd.DataFrame:
    """Definition and documents of each run's tasks and suites."""
    rows = [
        (run_id, name, *hashes)
        for run_id, run in manifests.items()
        for name, hashes in {**_hashes_of_suites(run), **_hashes_of_tasks(run)}.items()
    ]
    return pd.DataFrame(rows, columns=["run_id", "task", *_HASHES], dtype="str")


def _hashes_of_tasks(run: Manifest) -> dict[str, tuple[str, ...]]:
    return {task: (record.config_hash, record.data_hash) for task, record in run.tasks.items()}


def _hashes_of_suites(run: Manifest) -> dict[str, tuple[str, ...]]:
    known = _hashes_of_tasks(run)
    whole = {suite: tasks for suite, tasks in run.suites.items() if known.keys() >= set(tasks)}
    return {
        suite: tuple(digest([known[task][n] for task in tasks]) for n in range(len(_HASHES)))
        for suite, tasks in whole.items()
    }


def _with_figures(scores: pd.DataFrame, hashes: pd.DataFrame) -> pd.DataFrame:
    shots = scores["num_fewshot"].fillna(0).astype(int)
    scores = scores.assign(num_fewshot=shots, filter=scores["filter"].fillna("none"))
    scores = scores.merge(hashes, on=["run_id", "task"], how="left")
    scores[_HASHES] = scores[_HASHES].fillna("").astype("str")
    kinds = scores[["task", "metric", "filter"]].drop_duplicates()
    chosen = {
        task: primary_metric(list(rows[["metric", "filter"]].itertuples(index=False, name=None)))
        for task, rows in kinds.groupby("task")
    }
    keys = kinds.itertuples(index=False, name=None)
    kinds["primary"] = [chosen[task] == (metric, filter_) for task, metric, filter_ in keys]
    scores = scores.merge(kinds, on=["task", "metric", "filter"], how="left")
    scores["primary"] = scores["primary"].astype(bool)
    shots = scores["num_fewshot"]
    varied = scores.groupby("task")["num_fewshot"].transform("nunique") > 1
    filters = scores.groupby(["task", "metric"])["filter"].transform("nunique") > 1
    figure = scores["task"] + " · " + scores["metric"]
    figure += np.where(filters, " · " + scores["filter"], "")
    scores["figure"] = figure + np.where(varied, " · " + shots.astype(str) + "-shot", "")
    return scores


def _comparable(board: pd.DataFrame) -> pd.Series:
    measured = board["config_hash"] + "/" + board["data_hash"]
    counts = measured.groupby([board["figure"], measured], sort=False).transform("size")
    usual = measured.loc[counts.groupby(board["figure"], sort=False).idxmax()]
    reference = pd.Series(usual.to_numpy(), index=board.loc[usual.index, "figure"], dtype=object)
    return measured == board["figure"].map(reference)


def _marks(rows: pd.DataFrame) -> list[str]:
    """Marks of one figure's comparable rows; none where there is nothing to be better than."""
    direction = rows["higher_is_better"].dropna()
    value, low, high = rows[["value", "ci_low", "ci_high"]].to_numpy(dtype=float).T
    if direction.empty or len(np.unique(value[np.isfinite(value)])) < 2:
        return [""] * len(rows)
    if not direction.iloc[0]:
        value, low, high = -value, -high, -low
    best = np.nanargmax(value)
    margin = np.hypot(value[best] - low[best], high - value)
    tied = value[best] - value <= margin
    return list(np.select([value == value[best], tied], ["best", "tied"], default=""))


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested mappings as one, keys joined by dots, values as text."""
    if isinstance(value, dict):
        return {
            name: text
            for key, inner in value.items()
            for name, text in _flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()
        }
    return {prefix: "" if value is None else str(value)}
