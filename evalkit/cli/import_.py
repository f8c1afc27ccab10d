"""`evalkit import`: lm-eval's results become runs of the store."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import plain
from evalkit.cli.runs import pairs


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("import")(import_)


def import_(
    path: Annotated[
        Path, typer.Argument(help="lm-eval's --output_path: a folder, or a results_*.json file.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the runs; else the model's.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="KEY=VALUE; may be repeated.")] = None,
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Bring lm-eval's results and samples into the store."""
    from evalkit.results import Store
    from evalkit.runner.lm_eval_results import import_lm_eval

    opened = Store(store)
    for run, is_new in import_lm_eval(path, opened, name, pairs(tag)):
        verb = "Imported" if is_new else "Already there:"
        print(plain(f"{verb} {run.run_id}: {run.model.name}, {len(run.tasks)} tasks."))
    print(plain(f"next: evalkit ls scores --store {opened.shown_url}"))
