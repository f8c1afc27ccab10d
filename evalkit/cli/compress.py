"""`evalkit compress`."""

import typer

from evalkit.cli.output import figure, note, print_table
from evalkit.cli.recipes import (
    HelpRecipeOption,
    OutOption,
    RecipeArgument,
    SetOption,
    overrides,
    place,
    required,
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("compress")(compress)


def compress(
    recipe: RecipeArgument = None,
    out: OutOption = None,
    set_: SetOption = None,
    help_recipe: HelpRecipeOption = False,
) -> None:
    """Make a checkpoint smaller: prune it, quantise it to int8, or distil it into a student."""
    from evalkit.cli.quiet import quiet_libraries
    from evalkit.training import compress as library
    from evalkit.training.recipe import describe_recipe, load_recipe

    if help_recipe:
        print(describe_recipe(library.CompressRecipe), end="")
        return
    chosen = load_recipe(
        required(recipe, "compress"), overrides(set_), model=library.CompressRecipe
    )
    folder = place(out, chosen.name)
    quiet_libraries()
    made = library.compress(chosen, folder)
    print_table(["measured", "value"], [[k, _shown(v)] for k, v in made.measured.items()])
    print(folder)
    note(f"Measure it: evalkit run --model {folder} --tasks demo")


def _shown(value: float) -> str | None:
    return f"{value:,.0f}" if value >= 1000 else figure(value)
