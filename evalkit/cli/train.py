"""`evalkit train`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note
from evalkit.cli.recipes import HelpRecipeOption, SetOption, overrides
from evalkit.cli.task_texts import texts_of_tasks

if TYPE_CHECKING:
    from evalkit.training import Recipe
    from evalkit.training.corpus import TaskText


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train)


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Recipe in YAML, or a shipped one's name; the micro-world's if none."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the checkpoints; checkpoints/NAME if none."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in the folder, if any.")
    ] = False,
    set_: SetOption = None,
    mirror: options.MirrorFolder = None,
    help_recipe: HelpRecipeOption = False,
) -> None:
    """Train a series of checkpoints; without a recipe, on the bundled micro-world."""
    from evalkit import training

    if help_recipe:
        print(training.describe_recipe(), end="")
        return
    kept = (out or Path("checkpoints/micro")) / "recipe.yaml" if resume else None
    chosen = _recipe(recipe, kept, set_)
    folder = out or Path("checkpoints") / chosen.name
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    saved = training.train(
        chosen, folder, resume=resume, say=note, tests=_tests(chosen, mirror), mirror=mirror
    )
    if os.environ.get("RANK", "0") != "0":  # one of several processes speaks
        return
    for checkpoint in saved:
        print(checkpoint)
    if chosen.pretraining.objective == "causal":
        note(f"Measure it: evalkit run --model {saved[-1]} --tasks demo")


def _recipe(name: str | None, kept: Path | None, changes: list[str] | None) -> "Recipe":
    """The recipe that is named; of a training that is gone on with, its own if none is."""
    from evalkit.training import load_recipe

    if name is None and kept is not None and kept.is_file():
        name = str(kept)
    return load_recipe(name, overrides(changes))


def _tests(recipe: "Recipe", mirror: Path | None) -> "Iterator[TaskText]":
    """Texts that must not be learnt; the tasks are opened only if a corpus has to be made."""
    from evalkit.training.corpus import TextCorpus

    if isinstance(recipe.corpus, TextCorpus):
        yield from texts_of_tasks(recipe.corpus.decontaminate.tasks, (), mirror)
