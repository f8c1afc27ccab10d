"""`evalkit noise`: how far do figures move when nothing of the model changes?"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, print_table
from evalkit.errors import UsageError
from evalkit.settings import RunSettings, describe

if TYPE_CHECKING:
    from evalkit.gating.noise import NoiseFloor


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("noise")(noise)


_BatchSizes = Annotated[str, typer.Option(help="Against the engine's own choice.")]
_Seeds = Annotated[str, typer.Option(help="Of few-shot draws and sampling.")]
_Threads = Annotated[str, typer.Option(help="Of the numerical library.")]


def noise(
    model: Annotated[str, typer.Argument(help=describe("model"))],
    tasks: options.Tasks,
    limit: options.Limit = None,
    batch_sizes: _BatchSizes = "1,4,16",
    seeds: _Seeds = "0,1,2",
    threads: _Threads = "1,2",
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    mirror: options.Mirror = None,
    include_path: options.IncludePath = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list instead.")] = False,
) -> None:
    """Measure the noise floor: the same checkpoint with other batch sizes, seeds and threads."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit.gating.noise import noise_floor

    settings = RunSettings.checked(
        model=model, tasks=tasks, limit=limit, device=device, dtype=dtype, mirror=mirror,
        include_path=include_path or [],
    )  # fmt: skip
    found = noise_floor(
        settings,
        batch_sizes=_numbers("--batch-sizes", batch_sizes),
        seeds=_numbers("--seeds", seeds),
        threads=_numbers("--threads", threads),
    )
    if as_json:
        print(json.dumps([asdict(row) for row in found], allow_nan=False))
        return
    print_table(_HEADERS, map(_cells, found))
    print("\nLargest distance to the value; a difference of two runs below it is noise.")


_HEADERS = ("Task", "Metric", "Value", "Stderr", "Batch size", "Seed", "Threads", "Samples moved")


def _cells(row: "NoiseFloor") -> tuple[str | None, ...]:
    return (
        row.task,
        row.metric,
        figure(row.value),
        figure(row.stderr),
        _small(row.batch_size),
        _small(row.seed),
        _small(row.threads),
        None if row.samples_moved is None else f"{100 * row.samples_moved:.1f} %",
    )


def _small(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g}"


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"{option} {text!r} is no list of whole numbers such as 1,4.") from None
