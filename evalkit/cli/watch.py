"""`evalkit watch`: measure the checkpoints of a training as they appear."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note
from evalkit.errors import StoppedError
from evalkit.settings import RunSettings


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("watch")(watch)


def watch(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder or URL that a training saves into.")
    ],
    tasks: options.Tasks,
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
    num_fewshot: options.Fewshot = None,
    limit: options.Limit = None,
    batch_size: options.BatchSize = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    workers: options.Workers = None,
    device_per_worker: options.DevicePerWorker = "auto",
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    seed: options.Seed = 0,
    mirror: options.Mirror = None,
    include_path: options.IncludePath = None,
    store: options.Store = options.DEFAULT_STORE,
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
