"""`evalkit ls`: what there is, runs, tasks, suites or families."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, interval, note, print_table
from evalkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from evalkit.registry import Entry, Registry

_KINDS = ("runs", "scores", "tasks", "suites", "families")
_MOST_RUNS = 5


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("ls")(ls)


def ls(
    kind: Annotated[str, typer.Argument(help="runs, scores, tasks, suites or families.")] = "runs",
    pattern: Annotated[
        str | None, typer.Argument(help="Glob over the names; with one, lm-eval's are listed too.")
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
    everything: Annotated[
        bool, typer.Option("--all", help="Also lm-eval's own tasks, some 14,000.")
    ] = False,
    family: Annotated[str, typer.Option(help="Only tasks of the families that fit this glob.")] = (
        "*"
    ),
    include_path: options.IncludePath = None,
) -> None:
    """List the runs of a store, their scores side by side, or the tasks, suites and families."""
    if kind not in _KINDS:
        raise UsageError(f"'evalkit ls {kind}' is unknown; list {', '.join(_KINDS)}.")
    if kind == "runs":
        _list_runs(store, pattern or "*")
    elif kind == "scores":
        print_leaderboard(store, pattern or "*")
    else:
        from evalkit.cli.quiet import quiet_libraries

        quiet_libraries()
        from evalkit.registry import Registry

        registry = Registry([Path(folder) for folder in include_path or []])
        if kind == "families":
            _list_families(registry, pattern or "*")
        else:
            stock = everything or pattern is not None
            _list_tasks(registry, kind, pattern or "*", family, stock)


def print_leaderboard(store: str, pattern: str = "*", run_ids: Sequence[str] | None = None) -> None:
    """Print each task's primary metric for some runs, the newest by default, side by side."""
    import pandas as pd

    from evalkit.results import Store, leaderboard, overview

    found = overview(Store(store))
    for problem in found.problems:
        note(f"warning: {problem}")
    names = [m for m in found.manifests.values() if fnmatchcase(m.name, pattern)]
    newest = run_ids or [manifest.run_id for manifest in names[:_MOST_RUNS]][::-1]
    if not newest:
        note(f"{store} holds no runs{'' if pattern == '*' else f' named {pattern}'}.")
        return
    scores = pd.concat([found.scores, found.suites]) if len(found.suites) else found.scores
    board = leaderboard(scores[scores.run_id.isin(newest)].reset_index(drop=True))
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


def _list_tasks(registry: "Registry", kind: str, pattern: str, family: str, stock: bool) -> None:
    wanted = ("group", "tag") if kind == "suites" else ("task", "probe", "plug-in")
    rows: dict[str, tuple[str, str | None, str, str]] = {}
    for entry in registry.entries(stock):
        if entry.kind not in wanted or entry.name in rows:
            continue
        if fnmatchcase(entry.name, pattern):
            own = _family(registry, entry)
            if kind == "suites" or fnmatchcase(own or "", family):
                rows[entry.name] = (entry.name, own, entry.kind, registry.origin(entry))
    if not rows:
        note(f"No {kind} fit {pattern!r}" + ("." if stock else "; --all includes lm-eval's own."))
        return
    if kind == "suites":  # a suite has tasks of several families
        shown = [(name, what, source) for name, _, what, source in rows.values()]
        print_table(("Suite", "Kind", "Source"), shown)
    else:
        print_table(("Task", "Family", "Kind", "Source"), rows.values())
    if not stock:
        note(f"lm-eval's own are listed with a pattern, or with --all: evalkit ls {kind} '*arc*'")


def _family(registry: "Registry", entry: "Entry") -> str | None:
    """The entry's family; a plug-in that is broken is told of and has none."""
    try:
        return registry.family(entry)
    except DataError as error:
        note(f"warning: {error}")
        return None


def _list_families(registry: "Registry", pattern: str) -> None:
    from collections import Counter

    from evalkit.registry import families

    entries = {entry.name: entry for entry in reversed(registry.entries())}
    own = {entry.name for entry in registry.entries(stock=False)}
    count = Counter(e.family for e in entries.values() if e.family and e.name not in own)
    ours = Counter(e.family for e in entries.values() if e.family and e.name in own)
    rows = [
        (f.name, f.about, f.figures, ours[f.name], f"{count[f.name]:,}")
        for f in families().values()
        if fnmatchcase(f.name, pattern)
    ]
    if not rows:
        note(f"No families fit {pattern!r}.")
        return
    print_table(("Family", "What it measures", "Figures", "Tasks", "lm-eval's"), rows)
    print("\nnext: evalkit ls tasks '*' --family NAME")
