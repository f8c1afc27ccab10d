"""`evalkit baseline`: the runs that others are held to, each one file that can be committed."""

from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, interval, note, plain, print_table


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(help="Keep runs as baselines: one Parquet file each.", no_args_is_help=True)
    group.command("set")(set_)
    group.command("show")(show)
    group.command("list")(list_)
    app.add_typer(group, name="baseline")


def set_(
    run: Annotated[str, typer.Argument(help="The run: id, name, tag:KEY=VALUE or latest.")],
    tag: Annotated[str, typer.Option("--tag", help="Name of the baseline.")] = "main",
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Write a run to STORE/baselines/TAG.parquet."""
    from evalkit.results import Store
    from evalkit.results.baseline import set_baseline

    made = set_baseline(Store(store), run, tag)
    print(plain(f"Wrote {made.path} from run {made.run.run_id}."))
    print(f"next: evalkit gate RUN --baseline tag:{tag}")


def show(
    reference: Annotated[str, typer.Argument(help="Tag, or a baseline file.")] = "main",
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Print a baseline's scores and where it comes from."""
    from evalkit.results import Store
    from evalkit.results.baseline import SUFFIX, find_baseline

    named = reference if reference.endswith(SUFFIX) else f"tag:{reference.removeprefix('tag:')}"
    home, run = find_baseline(Store(store), named)
    print(plain(f"{run.name} ({run.run_id}), {run.model.path}, weights {run.model.weights_hash}\n"))
    print_table(
        ("Task", "Metric", "Filter", "Value", "95 % CI", "n"),
        [
            (row["task"], row["metric"], row["filter"], figure(row["value"]),
             interval(row["ci_low"], row["ci_high"]), row["n"])
            for row in home.score_rows(run.run_id)
        ],
    )  # fmt: skip


def list_(store: options.Store = options.DEFAULT_STORE) -> None:
    """Print the baselines of a store."""
    from evalkit.results import Store
    from evalkit.results.baseline import list_baselines

    found, problems = list_baselines(Store(store))
    for problem in problems:
        note(f"note: {problem}")
    if not found:
        note(f"note: {store} holds no baseline; make one with 'evalkit baseline set RUN'.")
        return
    print_table(
        ("Tag", "Run", "Created", "Tasks", "File"),
        [(b.tag, b.run.run_id, b.run.created, len(b.run.tasks), b.path) for b in found],
    )
