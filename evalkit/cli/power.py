"""`evalkit power`: how many samples would tell?"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import plain
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.results.planning import Power


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("power")(power)


_Task = Annotated[str, typer.Option("--task", help="Task to plan for.")]
_Effect = Annotated[
    float, typer.Option("--effect", help="Difference to find, in the metric's unit.")
]
_Metric = Annotated[
    str | None, typer.Option("--metric", help="By default the task's primary metric.")
]
_Alpha = Annotated[float, typer.Option("--alpha", help="Level of the two-sided test.")]
_Power = Annotated[float, typer.Option("--power", help="Probability to find the effect.")]
_Discordant = Annotated[
    float, typer.Option("--discordant", help="Share of samples two runs differ on, without runs.")
]


def power(
    task: _Task,
    effect: _Effect,
    metric: _Metric = None,
    alpha: _Alpha = 0.05,
    chance: _Power = 0.8,
    discordant: _Discordant = 0.3,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Say how many samples a paired comparison needs to find an effect."""
    from evalkit.results import Store
    from evalkit.results import planning as library

    found = library.power(
        task, effect, Store(store),
        metric=metric, alpha=alpha, power=chance, discordant=discordant,
    )  # fmt: skip
    if found.at_hand is None:
        _check_known(task)
    if as_json:
        print(json.dumps(asdict(found), allow_nan=False))
    else:
        _print(found)


def _check_known(task: str) -> None:
    """A task that no run has is at least one that could be run."""
    from evalkit.registry import Registry

    leaves = Registry().select([task]).leaves
    if len(leaves) != 1:
        raise UsageError(f"--task {task} stands for {len(leaves)} tasks; name one of them.")


def _print(found: "Power") -> None:
    print(
        plain(
            f"{found.task} {found.metric}: {found.needed:,} samples find a difference of "
            f"{found.effect:g} with probability {found.power:g} at level {found.alpha:g}."
        )
    )
    print(plain(f"One sample's difference deviates by {found.deviation:.3g} ({found.basis})."))
    if found.at_hand is not None and found.visible is not None:
        print(f"The {found.at_hand:,} samples at hand find {found.visible:.3g} or more.")
