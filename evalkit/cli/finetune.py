"""`evalkit finetune`."""

from typing import TYPE_CHECKING

import typer

from evalkit.cli.output import figure, interval, note, print_table
from evalkit.cli.recipes import (
    HelpRecipeOption,
    OutOption,
    RecipeArgument,
    SetOption,
    overrides,
    place,
    required,
)

if TYPE_CHECKING:
    from evalkit.training.derived import Figure

_CLASSIFIERS = ("reward", "classifier")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("finetune")(finetune)


def finetune(
    recipe: RecipeArgument = None,
    out: OutOption = None,
    set_: SetOption = None,
    help_recipe: HelpRecipeOption = False,
) -> None:
    """Adapt a checkpoint: answers, preferences, rewards, labels; all weights, or an adapter."""
    from evalkit.cli.quiet import quiet_libraries
    from evalkit.training import adapt
    from evalkit.training.recipe import describe_recipe, load_recipe

    if help_recipe:
        print(describe_recipe(adapt.FinetuneRecipe), end="")
        return
    chosen = load_recipe(required(recipe, "finetune"), overrides(set_), model=adapt.FinetuneRecipe)
    folder = place(out, chosen.name)
    quiet_libraries()
    made = adapt.finetune(chosen, folder)
    _print_figures(made.held_out)
    print(folder)
    if chosen.method not in _CLASSIFIERS:
        note(f"Measure it: evalkit run --model {folder} --tasks demo")


def _print_figures(figures: "list[Figure]") -> None:
    print_table(
        ["held out", "before", "after", "95 % interval", "n"],
        [
            [each.metric, figure(each.before), figure(each.value),
             interval(each.ci_low, each.ci_high), each.n]
            for each in figures
        ],
    )  # fmt: skip
