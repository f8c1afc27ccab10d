"""`evalkit power`: how many samples would tell?"""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from evalkit.cli.output import DEFAULT_STORE, StoreOption, plain


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("power")(power)


def power(
    task: Annotated[str, typer.Option("--task", help="Task to plan for.")],
    effect: Annotated[
        float, typer.Option("--effect", help="Difference to find, in the metric's unit.")
    ],
    metric: Annotated[
        str | None, typer.Option("--metric", help="By default the task's primary metric.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Level of the two-sided test.")] = 0.05,
    chance: Annotated[float, typer.Option("--power", help="Probability to find the effect.")] = 0.8,
    discordant: Annotated[
        float,
        typer.Option("--discordant", help="Share of samples two runs differ on, without runs."),
    ] = 0.3,
    store: StoreOption = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say how many samples a paired comparison needs to find an effect."""
    from evalkit.results import Store
    from evalkit.results import planning as library

    found = library.power(
        task,
        effect,
        Store(store),
        metric=metric,
        alpha=alpha,
        power=chance,
        discordant=discordant,
    )
    if as_json:
        print(json.dumps(asdict(found), allow_nan=False))
        return
    print(
        plain(
            f"{found.task} {found.metric}: {found.needed:,} samples find a difference of "
            f"{found.effect:g} with probability {found.power:g} at level {found.alpha:g}."
        )
    )
    print(plain(f"One sample's difference deviates by {found.deviation:.3g} ({found.basis})."))
    if found.at_hand is not None and found.visible is not None:
        print(f"The {found.at_hand:,} samples at hand find {found.visible:.3g} or more.")
