"""Runs as one page to hand on: what the dashboard shows, for people without it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import DataError, UsageError
from evalkit.results.comparison import Comparison, NotComparableError, compare, compare_many
from evalkit.results.difference import Difference
from evalkit.results.flip import Flip, figure_flips
from evalkit.results.manifest import Manifest
from evalkit.results.profiles import LATENCIES, PROFILE, profile_latencies
from evalkit.results.queries import Overview, leaderboard, manifest_differences, overview
from evalkit.results.report_page import Picture, Report, Section, Table
from evalkit.results.safety import category_scores, safety_scores
from evalkit.results.speed import QUANTITIES, latency_percentiles, request_times
from evalkit.results.store import Store
from evalkit.results.svg import Mark, interval_svg
from evalkit.results.text import (
    DIFFERENCE_HEADERS,
    FLIP_HEADERS,
    LEGEND,
    arrow,
    difference_cells,
    flip_cells,
    number,
    span,
    visible,
)

Record = dict[Any, Any]

_SIGNS = {"best": " ●", "tied": " ○", "": ""}
_MARKS = (
    "● best of its row, ○ not told apart from the best, † other documents or another definition "
    "of the task than most runs, so never marked. ↑ more is better, ↓ less is better."
)


def make_report(store: Store, references: Sequence[str], flips: int = 5) -> Report:
    """Gather what is known of some runs; those after the first are compared with the first.

    Args:
        store: Where the runs lie.
        references: Ids, names, `tag:KEY=VALUE` or `latest`.
        flips: Changed samples shown of each figure that got significantly better or worse.

    Raises:
        UsageError: A reference names no run, or a run is named twice.
        DataError: A run's scores are damaged.
    """
    runs = [store.resolve(reference) for reference in references]
    if not runs:
        raise UsageError("Name at least one run to report on.")
    if len({run.run_id for run in runs}) < len(runs):
        raise UsageError("A run is named twice; name each run of a report once.")
    view = _only(overview(store), runs)
    parts = [_runs(runs), _scores(view, runs), *_comparisons(store, runs, flips)]
    parts += [*_safety(store, view, runs), *_speed(store, view, runs)]
    names = ", ".join(run.name for run in runs)
    return Report(f"evalkit: {names}", tuple(parts))


def _only(view: Overview, runs: Sequence[Manifest]) -> Overview:
    ids = [run.run_id for run in runs]
    missing = [run_id for run_id in ids if run_id not in view.manifests]
    if missing:
        problem = next((text for text in view.problems if missing[0] in text), missing[0])
        raise DataError(problem)
    order = {run_id: place for place, run_id in enumerate(ids)}
    kept = view.runs[view.runs["run_id"].isin(ids)]
    kept = kept.sort_values("run_id", key=lambda column: column.map(order))
    scores = view.scores[view.scores["run_id"].isin(ids)]
    suites = view.suites[view.suites["run_id"].isin(ids)]
    return Overview({run_id: view.manifests[run_id] for run_id in ids}, kept, scores, suites, [])


def _runs(runs: Sequence[Manifest]) -> Section:
    rows = [
        (
            run.name,
            run.run_id,
            run.model.name,
            "" if run.model.parameters is None else f"{run.model.parameters:,}",
            run.created,
            ", ".join(f"{key}={value}" for key, value in run.tags.items()),
            run.model.weights_hash,
        )
        for run in runs
    ]
    headers = ("Run", "Id", "Model", "Parameters", "Created", "Tags", "Weights")
    warnings = [f"{run.name}: {warning}" for run in runs for warning in run.warnings]
    return Section("Runs", warnings, [Table(headers, rows)])


def _scores(view: Overview, runs: Sequence[Manifest]) -> Section:
    board = leaderboard(view.scores)
    figures = list(dict.fromkeys(board["figure"]))
    names = {run.run_id: run.name for run in runs}
    rows, pictures = [], []
    for figure in figures:
        records = board[board["figure"] == figure].to_dict("records")
        mine = {record["run_id"]: record for record in records}
        better = [b for b in (record["higher_is_better"] for record in records) if b is not None]
        headed = figure + arrow(bool(better[0]) if better else None)
        rows.append((headed, *(_cell(mine.get(run)) for run in names)))
        marks = [
            Mark(names[run], *_ends(mine[run]), "best" if mine[run]["mark"] == "best" else "open")
            for run in names
            if run in mine and not pd.isna(mine[run]["value"])
        ]
        if len(marks) > 1:
            picture = interval_svg(marks, f"{headed}, with 95 % intervals")
            pictures.append(Picture(headed, picture))
    table = Table(("Figure", *(run.name for run in runs)), rows)
    text = [f"Each task's primary figure with its 95 % interval. {_MARKS}"]
    return Section("Scores", text, [table], pictures)


def _cell(row: Record | None) -> str:
    if row is None or pd.isna(row["value"]):
        return "–"
    value, low, high = _ends(row)
    sign = _SIGNS[row["mark"]] if row["comparable"] else " †"
    return " ".join(filter(None, (number(value), span(low, high)))) + sign


def _ends(row: Record) -> tuple[float, float | None, float | None]:
    return float(row["value"]), _known(row["ci_low"]), _known(row["ci_high"])


def _comparisons(store: Store, runs: Sequence[Manifest], flips: int) -> list[Section]:
    """Every run against the first, and what differs between the two manifests."""
    if len(runs) < 2:
        return []
    first, *others = [run.run_id for run in runs]
    try:
        found, refused = compare_many(first, others, store, around_damage=True), {}
    except (NotComparableError, DataError):
        refused = _refused(store, first, others)
        rest = [run for run in others if run not in refused]
        found = compare_many(first, rest, store, around_damage=True)
    parts = [Section("Comparison", list(refused.values()))] if refused else []
    return parts + [part for comparison in found for part in _comparison(comparison, flips)]


def _refused(store: Store, first: str, others: Sequence[str]) -> dict[str, str]:
    """Runs that cannot be compared with the first, and why."""
    found = {}
    for other in others:
        try:
            compare(first, other, store, around_damage=True)
        except (NotComparableError, DataError) as error:
            found[other] = str(error)
    return found


def _comparison(comparison: Comparison, limit: int) -> list[Section]:
    a, b = comparison.baseline, comparison.candidate
    rows = comparison.differences
    tables = [Table(DIFFERENCE_HEADERS, [difference_cells(row) for row in rows])]
    told = [row for row in rows if row.significant() and row.gain is not None]
    shown, damaged = _flips(comparison, told, limit)
    text = [LEGEND, *comparison.damaged.values(), *damaged, *comparison.notes]
    parts = [Section(f"{b.name} against {a.name}", text, tables, _forests(rows))]
    if shown:
        cells = [flip_cells(flip) for flip in shown]
        sentence = f"At most {limit} of each figure that got significantly better or worse."
        title = f"Samples that changed from {a.name} to {b.name}"
        parts.append(Section(title, [sentence], [Table(FLIP_HEADERS, cells)]))
    differing = manifest_differences(a, b)
    cells = [tuple(map(visible, row)) for row in differing.itertuples(index=False)]
    table = Table(("Setting", a.name, b.name), cells)
    return [*parts, Section(f"What differs between {a.name} and {b.name}", (), [table])]


def _flips(
    comparison: Comparison, figures: Sequence[Difference], limit: int
) -> tuple[list[Flip], list[str]]:
    """Flips of some figures, and a sentence on each whose samples are damaged."""
    found, damaged = [], []
    for figure in figures:
        try:
            found += figure_flips(comparison, figure, limit)
        except DataError as error:
            damaged.append(str(error))
    return found, damaged


def _forests(rows: Sequence[Difference]) -> list[Picture]:
    """Gains on one axis where they are shares; each other figure on its own."""
    panels: dict[str, list[Mark]] = {}
    for row in rows:
        if row.gain is None or row.ci_low is None or row.ci_high is None:
            continue
        ends = (row.ci_low, row.ci_high) if row.higher_is_better else (-row.ci_high, -row.ci_low)
        kind = "open" if not row.significant() else "best" if row.gain > 0 else "worse"
        share = not row.unit and max(abs(row.baseline or 0), abs(row.candidate or 0)) <= 1
        panel = "Shares" if share else f"{row.task} {row.metric} {row.unit}".strip()
        mark = Mark(f"{row.task} {row.metric}", row.gain, *ends, kind)
        panels.setdefault(panel, []).append(mark)
    return [
        Picture(
            f"{name}: worse ← 0 → better",
            interval_svg(marks, f"Differences of {name} with 95 % intervals", zero=True),
        )
        for name, marks in panels.items()
    ]


def _safety(store: Store, view: Overview, runs: Sequence[Manifest]) -> list[Section]:
    """Safety figures of the last run by category."""
    last = runs[-1]
    scores = safety_scores(view)
    scores = scores[(scores["run_id"] == last.run_id) & scores["primary"].astype(bool)]
    tables, text = [], []
    for _, score in scores.iterrows():
        try:
            found = category_scores(store, last.run_id, score["task"], score)
        except DataError as error:
            text.append(str(error))
            continue
        rows = [
            (row["category"], str(row["n"]), number(_known(row["value"])), _interval(row))
            for row in found.to_dict("records")
        ]
        if rows:
            headers = (f"{score['figure']}, by category", "n", "Value", "95 % interval")
            tables.append(Table(headers, rows))
    title = f"Safety of {last.name}, the worst category first"
    return [Section(title, text, tables)] if tables or text else []


def _speed(store: Store, view: Overview, runs: Sequence[Manifest]) -> list[Section]:
    times = request_times(store, [run.run_id for run in runs if PROFILE not in run.tasks])
    names = {run.run_id: run.name for run in runs}
    percentiles = [
        *((named, latency_percentiles(times.rows, key)) for key, named in QUANTITIES.items()),
        *((named, profile_latencies(view, key)) for key, named in LATENCIES.items()),
    ]
    rows = [
        (
            names[row["run_id"]],
            str(row["task"]),
            named,
            f"p{row['percentile']}",
            str(row["n"]),
            number(1000 * row["value"]),
            _interval(row, 1000),
        )
        for named, found in percentiles
        for row in found.to_dict("records")
    ]
    headers = ("Run", "Task", "Of", "Percentile", "Requests", "Milliseconds", "95 % interval")
    tables = [Table(headers, rows)] if rows else []
    return [Section("Latency", times.problems, tables)] if tables or times.problems else []


def _interval(row: Record, scale: float = 1) -> str:
    return span(*(_known(scale * row[end]) for end in ("ci_low", "ci_high")))


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
