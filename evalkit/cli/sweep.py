"""`evalkit sweep`."""

import typer

from evalkit.cli.output import note, plain
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
    app.command("sweep")(sweep)


def sweep(
    recipe: RecipeArgument = None,
    out: OutOption = None,
    set_: SetOption = None,
    help_recipe: HelpRecipeOption = False,
) -> None:
    """Search a recipe's values over a budget; with the same folder again, go on with the search."""
    from evalkit.cli.quiet import quiet_libraries
    from evalkit.training.recipe import describe_recipe, load_recipe
    from evalkit.training.sweep_recipe import SweepRecipe

    if help_recipe:
        print(describe_recipe(SweepRecipe), end="")
        return
    chosen = load_recipe(required(recipe, "sweep"), overrides(set_), model=SweepRecipe)
    folder = place(out, chosen.name)
    quiet_libraries()
    from evalkit.training import search
    from evalkit.training.trials import markdown

    study = search.sweep(chosen, folder)
    print(plain(markdown(study)))
    print(folder / search.BEST_RECIPE)
    note(f"Train with it: evalkit {chosen.command} {folder / search.BEST_RECIPE}")
