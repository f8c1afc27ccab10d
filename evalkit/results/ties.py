"""Who cannot be told from the best: paired, where the samples allow it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.difference import ALPHA, TIMED
from evalkit.results.manifest import Manifest
from evalkit.results.pairing import pair_task
from evalkit.results.primary import primary_metric
from evalkit.results.store import Store
from evalkit.stats import compare_pairs, holm


@dataclass(frozen=True, slots=True)
class Standing:
    """A run's place in one task.

    Attributes:
        value: Of the task's primary metric.
        mark: "best", "tied" where the paired difference to the best is not significant, "behind"
            where it is, "" where the run could not be paired with the best.
        p: Corrected p-value of the difference to the best.
    """

    task: str
    metric: str
    run: str
    value: float
    mark: str
    p: float | None = None


def standings(store: Store, runs: Sequence[Manifest], seed: int = 0) -> list[Standing]:
    """Tie groups of each task that all runs have, best first.

    Every run is compared with the best on the samples both have; Holm corrects within the task.
    Choosing the best by its value favours it a little, so a tie is called rather too seldom.
    """
    scores = store.scores([run.run_id for run in runs]).fillna({"filter": "none"})
    shared = [task for task in runs[0].tasks if all(task in run.tasks for run in runs)]
    return [row for task in shared for row in _task(store, runs, scores, task, seed)]


def _task(
    store: Store, runs: Sequence[Manifest], scores: pd.DataFrame, task: str, seed: int
) -> list[Standing]:
    rows = scores[scores["task"] == task]
    if rows.empty:
        return []
    figures = rows[["metric", "filter"]].drop_duplicates()
    metric, filter_ = primary_metric(list(figures.itertuples(index=False, name=None)))
    rows = rows[(rows["metric"] == metric) & (rows["filter"] == filter_)]
    rows = rows.dropna(subset=["value", "higher_is_better"]).set_index("run_id")
    timed = rows["unit"].isin(TIMED).any()
    if len(rows) < 2 or timed or rows["aggregation"].iloc[0] not in AGGREGATIONS:
        return []
    sign = 1.0 if rows["higher_is_better"].iloc[0] else -1.0
    names = {run.run_id: run.name for run in runs}
    order = rows["value"].astype(float).mul(-sign).sort_values(kind="stable").index
    best, others = order[0], order[1:]
    found = [_p(store, best, other, task, (metric, filter_), rows, seed) for other in others]
    adjusted = iter(holm([p for p in found if p is not None]))
    standing = [Standing(task, metric, names[best], float(rows.loc[best, "value"]), "best")]
    for other, p in zip(others, found, strict=True):
        p = None if p is None else next(adjusted)
        mark = "" if p is None else "tied" if p >= ALPHA else "behind"
        value = float(rows.loc[other, "value"])
        standing.append(Standing(task, metric, names[other], value, mark, p))
    return standing


def _p(
    store: Store,
    best: str,
    other: str,
    task: str,
    figure: tuple[str, str],
    rows: pd.DataFrame,
    seed: int,
) -> float | None:
    aggregation = str(rows.loc[other, "aggregation"])
    if aggregation != rows.loc[best, "aggregation"]:
        return None
    pairs = pair_task((store, best), (store, other), task)
    found = pairs.metric(*figure, AGGREGATIONS[aggregation].size)
    if len(found.baseline) == 0 or not np.isfinite(found.baseline).all():
        return None
    return compare_pairs(found.baseline, found.candidate, aggregation, found.clusters, seed=seed).p
