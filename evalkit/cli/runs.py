"""`evalkit runs`: list, tag, delete, export and push what a store holds."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note, plain, print_table
from evalkit.errors import EvaluationError, UsageError

_RUN = "id, unique beginning of an id, name, tag:KEY=VALUE or latest"
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", help="Only runs with this KEY=VALUE; VALUE is a glob.")
]
ModelOption = Annotated[str, typer.Option("--model", help="Only these checkpoints, a glob.")]
TaskOption = Annotated[str | None, typer.Option("--task", help="Only runs of this task, a glob.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(
        help="List, tag, delete, export and push the runs of a store.", no_args_is_help=True
    )
    for command in (list_, tag, delete, export, push):
        group.command(command.__name__.rstrip("_"))(command)
    app.add_typer(group, name="runs")


def pairs(texts: list[str] | None) -> dict[str, str]:
    """KEY=VALUE texts as a mapping.

    Raises:
        UsageError: One of them is of another form.
    """
    found = {}
    for text in texts or []:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise UsageError(f"{text!r} is not of the form KEY=VALUE.")
        found[key] = value
    return found


def list_(
    name: Annotated[str, typer.Argument(help="Glob over names and ids.")] = "*",
    tag: TagOption = None,
    model: ModelOption = "*",
    task: TaskOption = None,
    store: options.Store = options.DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifests instead.")] = False,
) -> None:
    """Print the runs that fit, oldest first, and those that are unfinished or wait to be pushed."""
    from evalkit.results import Store
    from evalkit.results.partial import is_going_on, kept_runs, unfinished_runs
    from evalkit.results.runs import find_runs

    opened = Store(store)
    if not opened.exists:
        note(f"note: there is no store {opened.shown_url} yet.")
    found = find_runs(opened, name, model=model, task=task, tags=pairs(tag))
    for problem in found.problems:
        note(f"warning: {problem}")
    if as_json:
        print(json.dumps([run.model_dump(mode="json") for run in found.runs]))
        return
    print_table(
        ("Run", "Name", "Created", "Model", "Tasks", "Tags"),
        [
            (run.run_id, run.name, run.created, run.model.name, len(run.tasks),
             " ".join(f"{key}={value}" for key, value in run.tags.items()))
            for run in found.runs
        ],
    )  # fmt: skip
    for run_id in unfinished_runs(opened):
        if is_going_on(opened, run_id):
            note(f"going on: {run_id}")
            continue
        note(f"unfinished: {run_id}; go on with: evalkit run --resume {run_id} --store {store}")
    for run_id in kept_runs(opened):
        note(f"kept here: {run_id}; bring it over with: evalkit runs push {run_id} --store {store}")


def tag(
    run: Annotated[str, typer.Argument(help=f"The run: {_RUN}.")],
    tags: Annotated[list[str] | None, typer.Argument(help="KEY=VALUE, several if wanted.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="KEY of a tag to take away.")
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Give a run tags to find it by, or take some away."""
    from evalkit.results import Store
    from evalkit.results.runs import tag_run

    if not tags and not remove:
        raise UsageError("Name a KEY=VALUE to set, or a --remove KEY.")
    changed = tag_run(Store(store), run, pairs(tags), remove or [])
    shown = " ".join(f"{key}={value}" for key, value in changed.tags.items()) or "no tags"
    print(plain(f"{changed.run_id}: {shown}"))


def delete(
    runs: Annotated[list[str], typer.Argument(help=f"The runs: {_RUN}.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Delete runs with all their samples; by its id, an unfinished or damaged one too."""
    from evalkit.results import Store
    from evalkit.results.runs import deletable, delete_runs

    opened = Store(store)
    with opened.reading():
        ids = deletable(opened, runs)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"This would delete {', '.join(ids)}; say so with --yes.")
        typer.confirm(plain(f"Delete {', '.join(ids)}?"), abort=True)
    for run_id in delete_runs(opened, ids):
        print(plain(f"Deleted {run_id}."))


def export(
    runs: Annotated[list[str] | None, typer.Argument(help=f"The runs: {_RUN}; else all.")] = None,
    to: Annotated[str, typer.Option("--format", help="csv, json, markdown or lm-eval.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", help="File, or lm-eval's folder; else printed.")
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Write scores as CSV, JSON or Markdown, or whole runs as lm-eval's results folders."""
    from evalkit.results import Store
    from evalkit.results import export as formats

    opened = Store(store)
    if to not in formats.FORMATS:
        raise UsageError(f"--format {to!r} is unknown; take one of {', '.join(formats.FORMATS)}.")
    if to == "lm-eval" and output is None:
        raise UsageError("--format lm-eval writes a folder; name it with --output.")
    chosen = [opened.resolve(run) for run in runs] if runs else opened.listing().runs
    try:
        if to == "lm-eval" and output is not None:
            for path in formats.to_lm_eval(opened, chosen, output):
                print(plain(f"Wrote {path}."))
            return
        make = {"csv": formats.to_csv, "json": formats.to_json, "markdown": formats.to_markdown}
        text = make[to](opened, chosen)
        if output is None:
            print(text, end="")
        else:
            output.write_text(text, encoding="utf-8")
            print(plain(f"Wrote {output}."))
    except OSError as error:
        raise EvaluationError(f"{output} cannot be written: {error.strerror}.") from error


def push(
    runs: Annotated[list[str] | None, typer.Argument(help="Ids of kept runs; else all.")] = None,
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Bring runs that the store could not take, and that were kept here, into the store."""
    from evalkit.results import Store, partial

    opened = Store(store)
    kept = partial.kept_runs(opened)
    unknown = [run for run in runs or [] if run not in kept]
    if unknown:
        known = ", ".join(kept) or "none"
        raise UsageError(
            f"No run {unknown[0]!r} is kept here for {opened.shown_url}; kept: {known}."
        )
    if not kept:
        note(f"No run is kept here for {opened.shown_url}.")
    for run_id in runs or kept:
        print(plain(f"Run {run_id} is in {partial.push(opened, run_id)}."))
