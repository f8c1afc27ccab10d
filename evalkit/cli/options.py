"""The options that several commands share; what each means stands in `RunSettings`."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.settings import describe

Tasks = Annotated[list[str], typer.Option("--tasks", help=describe("tasks"))]
Fewshot = Annotated[int | None, typer.Option(help=describe("num_fewshot"))]
Limit = Annotated[int | None, typer.Option(help=describe("limit"))]
BatchSize = Annotated[str | None, typer.Option(help=describe("batch_size"))]
Engine = Annotated[str, typer.Option(help=describe("engine"))]
Address = Annotated[str | None, typer.Option(help=describe("address"))]
Workers = Annotated[int | None, typer.Option(help=describe("workers"))]
DevicePerWorker = Annotated[str, typer.Option(help=describe("device_per_worker"))]
Device = Annotated[str, typer.Option(help=describe("device"))]
Dtype = Annotated[str, typer.Option(help=describe("dtype"))]
Compile = Annotated[bool, typer.Option("--compile", help=describe("compile"))]
Seed = Annotated[int, typer.Option(help=describe("seed"))]
Mirror = Annotated[str | None, typer.Option(envvar="EVALKIT_MIRROR", help=describe("mirror"))]
MirrorFolder = Annotated[
    Path | None, typer.Option(envvar="EVALKIT_MIRROR", help=describe("mirror"))
]
IncludePath = Annotated[list[str] | None, typer.Option(help=describe("include_path"))]
TrustFunctions = Annotated[list[str] | None, typer.Option(help=describe("trust_functions"))]
Name = Annotated[str | None, typer.Option(help=describe("name"))]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
Store = Annotated[
    str, typer.Option("--store", envvar="EVALKIT_STORE", help="Folder or URL that holds the runs.")
]
DEFAULT_STORE = "reports"
