"""`evalkit train`."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.output import note
from evalkit.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train)


def train(
    recipe: Annotated[
        Path | None, typer.Argument(help="Recipe in YAML; the micro-world's if none is given.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the checkpoints; checkpoints/NAME if none."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change one key of the recipe; repeatable."
        ),
    ] = None,
    help_recipe: Annotated[
        bool, typer.Option("--help-recipe", help="Print every key of a recipe and its default.")
    ] = False,
) -> None:
    """Train a series of checkpoints; without a recipe, on the bundled micro-world."""
    from evalkit import training

    if help_recipe:
        print(training.describe_recipe(), end="")
        return
    chosen = training.load_recipe(recipe, dict(_pair(text) for text in set_ or []))
    for folder in training.train(chosen, out or Path("checkpoints") / chosen.name):
        print(folder)
    note(f"Measure it: evalkit run --model {folder} --tasks demo")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"--set takes KEY=VALUE, such as corpus.rude_share=0.5, not {text!r}.")
    return key, value
