"""Which runs and figures a leaderboard shows: filters, families, suites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from evalkit.results.queries import Overview, leaderboard
from evalkit.types import digest

SHARES = ("mean", "nanmean", "f1", "mcc")
"""Aggregations whose values are on one scale, so that a mean over tasks has a meaning."""

_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Choice:
    """What a leaderboard is asked to show; empty means everything.

    Attributes:
        text: Part of a run's name or id, of its model, or of a task.
        models: Names of models.
        tags: "key=value", all of which a run has to bear.
        tasks: Names of tasks.
        since: First day of the runs, UTC.
        until: Last day of the runs, UTC.
        family: Family of the tasks.
        suite: Suite of the tasks.
        metric: Metric to show; each task's primary one by default.
        by_suite: Whether a column is a suite instead of a task.
    """

    text: str = ""
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    family: str | None = None
    suite: str | None = None
    metric: str | None = None
    by_suite: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """Runs, newest first, as `Overview.runs`; their scores, as `leaderboard` gives them; figures.

    The figures are those of the scores, in the order in which the newest runs have them.
    """

    runs: pd.DataFrame
    scores: pd.DataFrame
    figures: tuple[str, ...]


def suites(view: Overview) -> dict[str, list[str]]:
    """Suite -> its tasks, as the newest run that names the suite resolved it."""
    found: dict[str, list[str]] = {}
    for run in view.manifests.values():
        found = {**run.suites, **found} if run.suites.keys() - found.keys() else found
    return found


def select_board(view: Overview, choice: Choice) -> Board:
    """The runs and scores that fit a choice, with best and tied values marked."""
    runs = _chosen_runs(view.runs, choice)
    scores = view.scores
    if len(runs) < len(view.runs):
        scores = scores[scores["run_id"].isin(runs["run_id"])]
    known = suites(view)
    wanted = known.get(choice.suite or "", choice.tasks)
    if choice.suite in known and choice.tasks:
        wanted = [task for task in wanted if task in choice.tasks]
    if choice.suite in known or choice.tasks:
        scores = scores[scores["task"].isin(wanted)]
    if choice.family is not None:
        scores = scores[scores["family"] == choice.family]
    scores = _searched(scores, runs, choice.text)
    metric = choice.metric
    if choice.by_suite:
        scores, metric = suite_scores(scores, known, metric, view.suites), None
    marked = leaderboard(scores, metric)
    found = runs[runs["run_id"].isin(marked["run_id"].unique())]
    return Board(found, marked, tuple(marked["figure"].unique()))


def suite_scores(
    scores: pd.DataFrame,
    suites: Mapping[str, Sequence[str]],
    metric: str | None = None,
    pooled: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Means over the tasks of each suite, one row a run, suite and metric.

    A column means one metric, so raw and normalised figures never share one. It is the plain mean
    over those tasks of the suite whose figure has that metric; a run that lacks one of them has no
    value there. The interval is normal, from the tasks' standard errors as if their documents were
    drawn independently. Metrics that are on no common scale, such as perplexity, are left out.
    Where a suite's file says how its tasks make one figure, that figure stands in their place for
    the runs that have it; runs of before it was stored keep the mean.

    Args:
        scores: Rows of `Overview.scores`.
        suites: Suite -> its tasks.
        metric: Metric to show; each task's primary one by default.
        pooled: Rows of `Overview.suites`.

    Returns:
        The columns of `scores` that `leaderboard` needs, all of them primary.
    """
    rows = scores[scores["primary"] if metric is None else scores["metric"] == metric]
    rows = rows[rows["aggregation"].isin(SHARES) & (rows["unit"].fillna("") == "")]
    rows = rows[rows["higher_is_better"].notna()].drop_duplicates(["run_id", "figure"])
    own = scores.iloc[:0] if pooled is None else _own(pooled, scores, suites, metric)
    found = [own] if len(own) else []
    for suite, tasks in suites.items():
        pooled_runs = own.loc[own["task"] == suite, "run_id"].unique()
        mine = rows[rows["task"].isin(tasks) & ~rows["run_id"].isin(pooled_runs)]
        found += [
            _suite_column(suite, str(name), part)
            for (name, _), part in mine.groupby(["metric", "higher_is_better"], sort=False)
        ]
    return pd.concat(found, ignore_index=True) if found else scores.iloc[:0].copy()


def _own(
    pooled: pd.DataFrame,
    scores: pd.DataFrame,
    suites: Mapping[str, Sequence[str]],
    metric: str | None,
) -> pd.DataFrame:
    """Figures by the suites' own rule, of the runs that are shown and suites shown whole."""
    shown = set(scores["task"].unique())
    whole = [suite for suite, tasks in suites.items() if shown.issuperset(tasks)]
    rows = pooled[pooled["run_id"].isin(scores["run_id"].unique()) & pooled["task"].isin(whole)]
    rows = rows[rows["primary"] if metric is None else rows["metric"] == metric]
    heading = rows["figure"] + " · " + rows["tasks"].astype(int).astype(str) + " tasks, pooled"
    return rows.assign(primary=True, figure=heading)


def _suite_column(suite: str, metric: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One suite and metric in every run that has all of its tasks."""
    tasks = rows["task"].nunique()
    defined = rows["config_hash"] + "/" + rows["data_hash"] + "/" + rows["num_fewshot"].astype(str)
    rows = rows.assign(defined=pd.factorize(defined)[0], variance=rows["stderr"] ** 2)
    rows = rows[rows["value"].notna()]
    rows = rows[rows.groupby("run_id")["value"].transform("size") == tasks]
    rows = rows.sort_values(["run_id", "task"], kind="stable")
    runs = rows.groupby("run_id", sort=False)
    table = runs.agg(
        value=("value", "mean"),
        variance=("variance", "sum"),
        known=("stderr", "count"),
        n=("n", "sum"),
        higher_is_better=("higher_is_better", "first"),
    ).reset_index()
    definitions = rows["defined"].to_numpy().reshape(len(table), tasks)
    table["config_hash"] = ["/".join(map(str, row)) for row in definitions.tolist()]
    stderr = np.sqrt(table["variance"]) / tasks
    stderr = stderr.where(table["known"] == tasks)
    return table.drop(columns=["variance", "known"]).assign(
        task=suite,
        family="",
        metric=metric,
        filter="none",
        stderr=stderr,
        ci_low=table["value"] - _Z * stderr,
        ci_high=table["value"] + _Z * stderr,
        unit="",
        num_fewshot=0,
        interval="normal",
        aggregation="mean over tasks",
        data_hash=digest(sorted(rows["task"].unique())),
        primary=True,
        figure=f"{suite} · {metric} · {tasks} {'task' if tasks == 1 else 'tasks'}",
    )


def _chosen_runs(runs: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    fits = pd.Series(True, index=runs.index)
    if choice.models:
        fits &= runs["model"].isin(choice.models)
    if choice.tags:
        wanted = set(choice.tags)
        fits &= np.array([wanted <= set(tags) for tags in runs["tags"]], dtype=bool)
    if choice.since is not None:
        fits &= runs["created"].dt.date >= choice.since
    if choice.until is not None:
        fits &= runs["created"].dt.date <= choice.until
    return runs[fits]


def _searched(scores: pd.DataFrame, runs: pd.DataFrame, text: str) -> pd.DataFrame:
    """Scores whose task bears the text, and those whose run or model does."""
    if not text:
        return scores
    words = runs["name"] + "\n" + runs["model"] + "\n" + runs["run_id"]
    hits = runs.loc[words.str.contains(text, case=False, regex=False), "run_id"]
    tasks = pd.Series(scores["task"].unique())
    named = tasks[tasks.str.contains(text, case=False, regex=False)]
    return scores[scores["run_id"].isin(hits) | scores["task"].isin(named)]
