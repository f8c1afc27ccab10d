"""A series of checkpoints: a curve with a band, one trend test, the last against the best."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import UsageError
from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.comparison import Comparison, compare
from evalkit.results.difference import TIMED, Difference
from evalkit.results.manifest import Manifest
from evalkit.results.pairing import KEYS
from evalkit.results.primary import primary_metric
from evalkit.results.store import Store
from evalkit.stats import Trend, holm, trend

_APART = "the runs share no samples"


@dataclass(frozen=True, slots=True)
class Point:
    """One run on a curve; `position` is its training step, or its place in the series."""

    run: str
    position: float
    value: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """A task's primary metric along the series.

    Attributes:
        points: In the series' order, each with its own 95 % interval: the band.
        trend: Slope over the positions and its test; None where it is undefined.
        trend_p: Its p-value, corrected over all curves (Holm).
        best: Name of the run with the best value; None where the runs share no samples.
        last: The last run less the best, paired; None where the last is the best. The best was
            chosen by its value, so the difference looks a little larger than it is.
        note: What a reader has to know.
    """

    task: str
    metric: str
    filter: str
    higher_is_better: bool | None
    points: tuple[Point, ...]
    trend: Trend | None
    trend_p: float | None
    best: str | None
    last: Difference | None
    note: str = ""

    @property
    def reading(self) -> str:
        """What the trend says."""
        if self.trend is None or self.trend_p is None:
            return self.note or "no trend could be tested"
        if self.trend_p >= 0.05:
            return "no trend seen"
        rising = self.trend.slope > 0
        if self.higher_is_better is None:
            return "rising" if rising else "falling"
        return "getting better" if rising is self.higher_is_better else "getting worse"


@dataclass(frozen=True, slots=True)
class Series:
    """Runs in order, a curve for each task they share, and sentences on what is left out."""

    runs: tuple[Manifest, ...]
    curves: tuple[Curve, ...]
    by_step: bool
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "runs": [{"run_id": run.run_id, "name": run.name} for run in self.runs],
            "position": "training step" if self.by_step else "place in the series",
            "curves": [{**asdict(curve), "reading": curve.reading} for curve in self.curves],
            "notes": list(self.notes),
        }


def compare_series(
    references: Sequence[str | Manifest],
    store: str | Path | Store = "reports",
    *,
    tasks: Sequence[str] | None = None,
    seed: int = 0,
) -> Series:
    """Follow each task's primary metric along a series of runs, without a test at every step.

    Args:
        references: Three runs or more; ordered by training step where all of them know theirs.
        store: Where the runs lie.
        tasks: Only these tasks; by default all that the runs share.
        seed: Seed of permutations and bootstraps.

    Raises:
        UsageError: There are fewer than three runs, one is named twice, or they share no task.
    """
    if len(references) < 3:
        raise UsageError("A series needs at least three runs; compare two without --series.")
    opened = store if isinstance(store, Store) else Store(store)
    runs = [run if isinstance(run, Manifest) else opened.resolve(run) for run in references]
    if len({run.run_id for run in runs}) < len(runs):
        raise UsageError("A run is named twice; name each of a series once.")
    steps = [_step(run) for run in runs]
    known = [step for step in steps if step is not None]
    by_step = len(set(known)) == len(runs)
    if by_step:
        order = sorted(range(len(runs)), key=lambda i: known[i])
        runs, positions = [runs[i] for i in order], sorted(known)
    else:
        positions = [float(place) for place in range(1, len(runs) + 1)]
    shared = [task for task in runs[0].tasks if all(task in run.tasks for run in runs)]
    shared = [task for task in shared if tasks is None or task in tasks]
    if not shared:
        names = ", ".join(run.name for run in runs)
        raise UsageError(f"{names} have no task in common.")
    against: dict[str, Comparison] = {}
    curves = [_curve(opened, runs, positions, task, seed, against) for task in shared]
    found = [curve for curve in curves if curve is not None]
    asked = tasks or dict.fromkeys(task for run in runs for task in run.tasks)
    partial = [task for task in asked if task not in shared]
    notes = [f"not all runs have {', '.join(partial)}: left out."] if partial else []
    return Series(tuple(runs), tuple(_corrected(found)), by_step, tuple(notes))


def _step(run: Manifest) -> float | None:
    training = run.model.training or {}
    step = training.get("step", training.get("steps"))
    return float(step) if isinstance(step, int | float) else None


def _curve(
    store: Store,
    runs: list[Manifest],
    positions: list[float],
    task: str,
    seed: int,
    against: dict[str, Comparison],
) -> Curve | None:
    scores = store.scores([run.run_id for run in runs]).fillna({"filter": "none"})
    scores = scores[scores["task"] == task]
    figures = scores[["metric", "filter"]].drop_duplicates()
    if figures.empty:
        return None
    metric, filter_ = primary_metric(list(figures.itertuples(index=False, name=None)))
    rows = scores[(scores["metric"] == metric) & (scores["filter"] == filter_)]
    rows = rows.set_index("run_id").reindex([run.run_id for run in runs])
    points = tuple(
        Point(run.name, position, *(_number(row[name]) for name in ("value", "ci_low", "ci_high")))
        for run, position, (_, row) in zip(runs, positions, rows.iterrows(), strict=True)
    )
    directions = rows["higher_is_better"].dropna()
    direction = None if directions.empty else bool(directions.iloc[0])
    slope, note = _trend(store, runs, positions, task, (metric, filter_), rows, seed)
    best, last = None, None
    known = all(point.value is not None for point in points)
    # Values over other samples say nothing of which run is the best.
    if direction is not None and known and note != _APART:
        values = [point.value or 0.0 for point in points]
        place = int(np.argmax(values) if direction else np.argmin(values))
        best = runs[place].name
        if place != len(runs) - 1:
            last = _last(store, runs[place], runs[-1], (task, metric, filter_), seed, against)
    return Curve(
        task,
        metric,
        filter_,
        direction,
        points,
        slope,
        slope.p if slope else None,
        best,
        last,
        note,
    )


def _trend(
    store: Store,
    runs: list[Manifest],
    positions: list[float],
    task: str,
    figure: tuple[str, str],
    rows: pd.DataFrame,
    seed: int,
) -> tuple[Trend | None, str]:
    if rows["unit"].isin(TIMED).any():
        return None, "a timing: the machine and its load are in it"
    names = rows["aggregation"].dropna().unique()
    if len(names) != 1 or names[0] not in AGGREGATIONS:
        return None, "this metric cannot be paired sample by sample"
    aggregation, (metric, filter_) = AGGREGATIONS[names[0]], figure
    joined: pd.DataFrame | None = None
    for number, run in enumerate(runs):
        samples = store.samples(run.run_id, task, [*KEYS, "cluster", "statistics"])
        samples = samples[samples["filter"].fillna("none") == filter_]
        numbers = [(known or {}).get(metric) for known in samples["statistics"]]
        samples = samples.assign(numbers=pd.Series(numbers, index=samples.index, dtype=object))
        whole = [known is not None and len(known) == aggregation.size for known in numbers]
        samples = samples[whole].drop_duplicates(["doc_hash", "prompt_hash"])
        samples = samples[["doc_hash", "prompt_hash", "cluster", "numbers"]]
        samples = samples.rename(columns={"numbers": f"run{number}"})
        if joined is not None:
            samples = samples.drop(columns="cluster")
        keys = ["doc_hash", "prompt_hash"]
        joined = samples if joined is None else joined.merge(samples, on=keys)
    if joined is None or len(joined) < 2:
        return None, _APART
    clusters = [None if pd.isna(cluster) else str(cluster) for cluster in joined["cluster"]]
    statistics = [np.array(list(joined[f"run{i}"])) for i in range(len(runs))]
    return trend(statistics, positions, names[0], clusters, seed=seed), ""


def _last(
    store: Store,
    best: Manifest,
    last: Manifest,
    figure: tuple[str, str, str],
    seed: int,
    against: dict[str, Comparison],
) -> Difference | None:
    if best.run_id not in against:
        against[best.run_id] = compare(best, last, store, seed=seed)
    found = against[best.run_id].differences
    return next((row for row in found if (row.task, row.metric, row.filter) == figure), None)


def _corrected(curves: list[Curve]) -> list[Curve]:
    tested = [curve.trend_p for curve in curves if curve.trend_p is not None]
    adjusted = iter(holm(tested))
    return [
        curve if curve.trend_p is None else replace(curve, trend_p=next(adjusted))
        for curve in curves
    ]


def _number(value: object) -> float | None:
    return None if pd.isna(value) else float(value)  # type: ignore[call-overload, arg-type]
