"""`evalkit ls`: what there is, runs or tasks."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer

from evalkit.cli.output import DEFAULT_STORE, StoreOption, figure, interval, note, print_table
from evalkit.errors import UsageError

_KINDS = ("runs", "scores", "tasks", "suites")
_MOST_RUNS = 5


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("ls")(ls)


def ls(
    kind: Annotated[str, typer.Argument(help="runs, scores, tasks or suites.")] = "runs",
    pattern: Annotated[str, typer.Argument(help="Glob over the names.")] = "*",
    store: StoreOption = DEFAULT_STORE,
    everything: Annotated[
        bool, typer.Option("--all", help="Also lm-eval's own tasks, some 14,000.")
    ] = False,
) -> None:
    """List the runs of a store, their scores side by side, or the tasks and suites there are."""
    if kind not in _KINDS:
        raise UsageError(f"'evalkit ls {kind}' is unknown; list {', '.join(_KINDS)}.")
    if kind == "runs":
        _list_runs(store, pattern)
    elif kind == "scores":
        print_leaderboard(store, pattern)
    else:
        _list_tasks(kind, pattern, everything)


def print_leaderboard(store: str, pattern: str = "*", run_ids: Sequence[str] | None = None) -> None:
    """Print each task's primary metric for some runs, the newest by default, side by side."""
    from evalkit.results import Store, leaderboard, overview

    found = overview(Store(store))
    for problem in found.problems:
        note(f"warning: {problem}")
    names = [m for m in found.manifests.values() if fnmatchcase(m.name, pattern)]
    newest = run_ids or [manifest.run_id for manifest in names[:_MOST_RUNS]][::-1]
    if not newest:
        note(f"{store} holds no runs{'' if pattern == '*' else f' named {pattern}'}.")
        return
    board = leaderboard(found.scores[found.scores.run_id.isin(newest)])
    labels = dict(zip(found.runs.run_id, found.runs.label, strict=True))
    rows = []
    for heading, group in board.groupby("figure", sort=False):
        cells = {row.run_id: _cell(row) for row in group.itertuples()}
        better = group.higher_is_better.iloc[0]
        arrow = "" if better is None else "↑" if better else "↓"
        rows.append((heading, arrow, *(cells.get(run_id) for run_id in newest)))
    print_table(("Task and metric", "", *(labels[run_id] for run_id in newest)), rows)
    print("\n95 % intervals; ★ best, ☆ cannot be told from the best.")


def _cell(row: Any) -> str:
    mark = {"best": " ★", "tied": " ☆"}.get(row.mark, "")
    if row.value is None or row.value != row.value:
        return "undefined"
    ends = None if row.ci_low != row.ci_low else interval(row.ci_low, row.ci_high)
    return f"{figure(row.value)}{f' {ends}' if ends else ''}{mark}"


def _list_runs(store: str, pattern: str) -> None:
    from evalkit.results import Store

    listing = Store(store).listing()
    for problem in listing.problems:
        note(f"warning: {problem}")
    runs = [run for run in listing.runs if fnmatchcase(run.name, pattern)]
    if not runs:
        note(f"{store} holds no runs{'' if pattern == '*' else f' named {pattern}'}.")
        return
    rows = [
        (
            run.run_id,
            run.name,
            run.created,
            len(run.tasks),
            sum(task.documents for task in run.tasks.values()),
            f"{run.duration_s:.1f} s",
            " ".join(f"{key}={value}" for key, value in run.tags.items()),
        )
        for run in runs
    ]
    print_table(("Run", "Name", "Created", "Tasks", "Documents", "Took", "Tags"), rows)
    print("\nnext: evalkit ls scores, evalkit compare A B, evalkit dashboard")


def _list_tasks(kind: str, pattern: str, everything: bool) -> None:
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit.registry import Registry

    wanted = ("group", "tag") if kind == "suites" else ("task", "probe")
    entries = [
        entry
        for entry in Registry().entries(stock=everything)
        if entry.kind in wanted and fnmatchcase(entry.name, pattern)
    ]
    if not entries:
        note(f"No {kind} fit {pattern!r}; --all includes lm-eval's own.")
        return
    print_table(
        (kind.capitalize(), "Kind", "Source"),
        [(entry.name, entry.kind, entry.path or "evalkit.probes") for entry in entries],
    )
