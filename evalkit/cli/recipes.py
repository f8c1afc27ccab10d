"""What the commands that read a recipe have in common."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from evalkit.errors import UsageError

RecipeArgument = Annotated[
    str | None,
    typer.Argument(metavar="RECIPE", help="YAML file, or the name of a recipe that is shipped."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the recipe; repeatable."),
]
HelpRecipeOption = Annotated[
    bool, typer.Option("--help-recipe", help="Print every key of a recipe and its default.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder for what is made; checkpoints/NAME if none.")
]


def overrides(settings: Iterable[str] | None) -> dict[str, str]:
    """`--set` as dotted key -> value in YAML.

    Raises:
        UsageError: One is no KEY=VALUE.
    """
    found = {}
    for text in settings or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--set takes KEY=VALUE, such as name=mine, not {text!r}.")
        found[key] = value
    return found


def required(recipe: str | None, command: str) -> str:
    """The recipe, which has to be named.

    Raises:
        UsageError: It is not.
    """
    if recipe is None:
        raise UsageError(
            f"evalkit {command} needs a RECIPE: a YAML file, or the name of one that is shipped; "
            "--help-recipe prints every key."
        )
    return recipe


def place(out: Path | None, name: str) -> Path:
    """Where what is made goes."""
    return out or Path("checkpoints") / name
