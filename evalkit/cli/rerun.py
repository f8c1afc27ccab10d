"""`evalkit rerun` and `evalkit diff-manifest`: does it repeat, and if not, what is different?"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, note, plain, print_table
from evalkit.errors import DataError

if TYPE_CHECKING:
    from evalkit.results import Manifest, Store

_RUN = "id, name, tag:KEY=VALUE or latest"
_WHAT_DIFFERS = ("Setting", "First", "Second")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("rerun")(rerun)
    app.command("diff-manifest")(diff_manifest)


def rerun(
    run: Annotated[str, typer.Argument(help=f"The run to repeat: {_RUN}.")],
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Repeat a run from its manifest; say which figures moved, by how much, and what differs."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit.results import Store, manifest_differences
    from evalkit.results.moved import figures_moved
    from evalkit.runner.rerun import rerun as repeat

    opened = Store(store)
    before = opened.resolve(run)
    after = repeat(before, store).manifest
    figures = figures_moved(opened, before, after)
    differences = manifest_differences(before, after)
    if as_json:
        found = [{**asdict(one), "difference": one.difference} for one in figures]
        differing = differences.to_dict("records")
        print(json.dumps({"run_id": after.run_id, "figures": found, "differences": differing}))
        return
    exact = [one for one in figures if not one.is_timed]
    moved = [one for one in exact if one.has_moved]
    if moved:
        rows = [
            (one.task, one.metric, one.filter, figure(one.before), figure(one.after),
             None if one.difference is None else f"{one.difference:+.3g}")
            for one in moved
        ]  # fmt: skip
        print_table(("Task", "Metric", "Filter", "Before", "After", "Moved by"), rows)
    print(f"{len(exact) - len(moved)} of {len(exact)} figures are identical.")
    timed = [one for one in figures if one.is_timed]
    if timed:
        print(f"{len(timed)} more are timed, and never repeat exactly.")
    _print_differences(differences.itertuples(index=False, name=None))
    print(plain(f"Run {after.run_id} repeats {before.run_id}."))


def diff_manifest(
    first: Annotated[str, typer.Argument(help=f"A run ({_RUN}), or a run.json file.")],
    second: Annotated[str, typer.Argument(help="The other; same forms.")],
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Print what differs between two runs' manifests, all that could change a figure."""
    from evalkit.results import Store, manifest_differences

    opened = Store(store)
    a, b = (_manifest(opened, reference) for reference in (first, second))
    differences = manifest_differences(a, b)
    if as_json:
        print(json.dumps(differences.to_dict("records")))
        return
    _print_differences(differences.itertuples(index=False, name=None))


def _manifest(store: "Store", reference: str) -> "Manifest":
    from pydantic import ValidationError

    from evalkit.results import Manifest

    if not reference.endswith(".json"):
        return store.resolve(reference)
    try:
        return Manifest.model_validate_json(Path(reference).read_bytes())
    except OSError as error:
        raise DataError(f"{reference} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{reference} is not a readable manifest: {reason}.") from error


def _print_differences(rows: Iterable[Sequence[object]]) -> None:
    found = list(rows)
    if not found:
        note("The manifests do not differ in anything that could change a figure.")
        return
    print_table(_WHAT_DIFFERS, found)
