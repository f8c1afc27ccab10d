"""`evalkit watch`: measure the checkpoints of a training as they appear."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.output import DEFAULT_STORE, StoreOption, note
from evalkit.errors import StoppedError
from evalkit.settings import RunSettings, describe


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("watch")(watch)


def watch(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder or URL that a training saves into.")
    ],
    tasks: Annotated[list[str], typer.Option("--tasks", help=describe("tasks"))],
    gate: Annotated[
        Path | None,
        typer.Option(help="Rules (YAML) for each; without a baseline, against the one before."),
    ] = None,
    on_turn: Annotated[
        str | None, typer.Option(help="Command to call when the gate's outcome turns.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="URL to tell of it.")] = None,
    every: Annotated[
        int | None, typer.Option(min=1, help="Only steps that are a multiple of this.")
    ] = None,
    newest_first: Annotated[
        bool, typer.Option("--newest-first", help="Measure the newest that waits, not the oldest.")
    ] = False,
    poll: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds between looks; what stays the same is whole."),
    ] = 30.0,
    once: Annotated[
        bool, typer.Option("--once", help="End when all that is there is measured.")
    ] = False,
    num_fewshot: Annotated[int | None, typer.Option(help=describe("num_fewshot"))] = None,
    limit: Annotated[int | None, typer.Option(help=describe("limit"))] = None,
    batch_size: Annotated[str | None, typer.Option(help=describe("batch_size"))] = None,
    engine: Annotated[str, typer.Option(help=describe("engine"))] = "local",
    address: Annotated[str | None, typer.Option(help=describe("address"))] = None,
    workers: Annotated[int | None, typer.Option(help=describe("workers"))] = None,
    device_per_worker: Annotated[str, typer.Option(help=describe("device_per_worker"))] = "auto",
    device: Annotated[str, typer.Option(help=describe("device"))] = "auto",
    dtype: Annotated[str, typer.Option(help=describe("dtype"))] = "float32",
    seed: Annotated[int, typer.Option(help=describe("seed"))] = 0,
    mirror: Annotated[
        str | None, typer.Option(envvar="EVALKIT_MIRROR", help=describe("mirror"))
    ] = None,
    include_path: Annotated[list[str] | None, typer.Option(help=describe("include_path"))] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Measure each new checkpoint of a running training, once, and say when the gate turns."""
    settings = RunSettings.checked(
        model=folder,
        tasks=tasks,
        num_fewshot=num_fewshot,
        limit=limit,
        batch_size=batch_size,
        engine=engine,
        address=address,
        workers=workers,
        device_per_worker=device_per_worker,
        device=device,
        dtype=dtype,
        seed=seed,
        mirror=mirror,
        include_path=include_path or [],
        store=store,
    )
    from evalkit import watching
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    chosen = watching.Watching(every, newest_first, poll, once, gate, on_turn, webhook)
    try:
        watching.watch(folder, settings, chosen, note)
    except KeyboardInterrupt as error:
        raise StoppedError("Stopped; the same command goes on with the watch.") from error
