"""`evalkit noise`: how far do figures move when nothing of the model changes?"""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from evalkit.cli.output import figure, print_table
from evalkit.errors import UsageError
from evalkit.settings import RunSettings, describe


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("noise")(noise)


def noise(
    model: Annotated[str, typer.Argument(help=describe("model"))],
    tasks: Annotated[list[str], typer.Option("--tasks", help=describe("tasks"))],
    limit: Annotated[int | None, typer.Option(help=describe("limit"))] = None,
    batch_sizes: Annotated[str, typer.Option(help="Against the engine's own choice.")] = "1,4,16",
    seeds: Annotated[str, typer.Option(help="Of few-shot draws and sampling.")] = "0,1,2",
    threads: Annotated[str, typer.Option(help="Of the numerical library.")] = "1,2",
    device: Annotated[str, typer.Option(help=describe("device"))] = "auto",
    dtype: Annotated[str, typer.Option(help=describe("dtype"))] = "float32",
    mirror: Annotated[
        str | None, typer.Option(envvar="EVALKIT_MIRROR", help=describe("mirror"))
    ] = None,
    include_path: Annotated[list[str] | None, typer.Option(help=describe("include_path"))] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list instead.")] = False,
) -> None:
    """Measure the noise floor: the same checkpoint with other batch sizes, seeds and threads."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit.gating.noise import noise_floor

    settings = RunSettings.checked(
        model=model,
        tasks=tasks,
        limit=limit,
        device=device,
        dtype=dtype,
        mirror=mirror,
        include_path=include_path or [],
    )
    found = noise_floor(
        settings,
        batch_sizes=_numbers("--batch-sizes", batch_sizes),
        seeds=_numbers("--seeds", seeds),
        threads=_numbers("--threads", threads),
    )
    if as_json:
        print(json.dumps([asdict(row) for row in found], allow_nan=False))
        return
    rows = [
        (
            row.task,
            row.metric,
            figure(row.value),
            figure(row.stderr),
            _small(row.batch_size),
            _small(row.seed),
            _small(row.threads),
            None if row.samples_moved is None else f"{100 * row.samples_moved:.1f} %",
        )
        for row in found
    ]
    print_table(
        ("Task", "Metric", "Value", "Stderr", "Batch size", "Seed", "Threads", "Samples moved"),
        rows,
    )
    print("\nLargest distance to the value; a difference of two runs below it is noise.")


def _small(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g}"


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"{option} {text!r} is no list of whole numbers such as 1,4.") from None
