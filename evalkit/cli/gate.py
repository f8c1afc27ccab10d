"""`evalkit gate`: may this run pass?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.cli import options
from evalkit.cli.output import note, plain, print_table
from evalkit.errors import EvalkitError, UsageError
from evalkit.settings import describe

if TYPE_CHECKING:
    from evalkit.gating import GateResult


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("gate")(gate)


_Run = Annotated[
    str | None, typer.Argument(help="The run in question: id, name, tag:KEY=VALUE or latest.")
]
_Baseline = Annotated[
    str | None, typer.Option("--baseline", help="As RUN, or tag:NAME or file of a baseline.")
]
# Strings, not paths: an empty one would otherwise mean the folder at hand.
_Config = Annotated[
    str | None,
    typer.Option("--config", help="Rules (YAML); without, no primary metric may get worse."),
]
_Output = Annotated[
    str | None, typer.Option("--output", help="Folder for gate.json, gate.xml and gate.md.")
]
_Model = Annotated[
    str | None, typer.Option("--model", help="A checkpoint: measure what the rules need first.")
]
_Sequential = Annotated[
    bool, typer.Option("--sequential", help="With --model: ask only as many samples as it takes.")
]
_Limit = Annotated[int | None, typer.Option(help=f"With --model: {describe('limit')}")]
_BatchSize = Annotated[str | None, typer.Option(help=f"With --model: {describe('batch_size')}")]
_Device = Annotated[str | None, typer.Option(help=f"With --model: {describe('device')}")]
_Include = Annotated[
    list[str] | None, typer.Option(help=f"With --model: {describe('include_path')}")
]
_Name = Annotated[str | None, typer.Option(help=f"With --model: {describe('name')}")]
_Seed = Annotated[int, typer.Option(help="Of the order of samples and of resampling.")]
_Init = Annotated[bool, typer.Option("--init", help="Write a commented gate.yaml.")]


def gate(
    run: _Run = None,
    baseline: _Baseline = None,
    config: _Config = None,
    model: _Model = None,
    sequential: _Sequential = False,
    store: options.Store = options.DEFAULT_STORE,
    output: _Output = None,
    limit: _Limit = None,
    batch_size: _BatchSize = None,
    device: _Device = None,
    include_path: _Include = None,
    mirror: options.Mirror = None,
    name: _Name = None,
    seed: _Seed = 0,
    init: _Init = False,
) -> None:
    """Give a verdict on a run, or on a checkpoint that is measured first.

    Exit codes: 0 pass, 1 regressed, 2 wrong config or usage, 3 evaluation incomplete, 4 baseline
    missing or not comparable, 5 inconclusive where the config says that fails.
    """
    named = {"RUN": run, "baseline": baseline, "config": config, "model": model, "output": output}
    measuring = {"limit": limit, "batch_size": batch_size, "device": device,
                 "include_path": include_path, "name": name}  # fmt: skip
    measuring = {option: value for option, value in measuring.items() if value is not None}
    _check_usage(named, measuring, sequential, init)
    if init:
        _write_template(Path(config or "gate.yaml"))
        return
    where: dict[str, Any] = {"baseline": baseline, "store": store, "output": output, "seed": seed}
    if mirror is not None:
        measuring["mirror"] = mirror
    result = _judged(run, model, config, where, measuring, sequential)
    print_verdict(result)
    if output is not None:
        print(f"reports: {output}/gate.md, gate.json, gate.xml")
    if result.comparison and result.baseline and result.run:
        names = f"{result.baseline.run_id} {result.run.run_id}"
        print(f"next: evalkit compare {names} --store {store} --flips 20")
    raise typer.Exit(result.exit_code)


def _check_usage(
    named: dict[str, str | None], measuring: dict[str, Any], sequential: bool, init: bool
) -> None:
    for option, value in named.items():
        if value == "":
            shown = option if option == "RUN" else f"--{option}"
            raise UsageError(f"{shown} '' is empty; give a name, or leave it out.")
    if init:
        return
    if (named["RUN"] is None) is (named["model"] is None):
        raise UsageError(
            "Name one thing to judge: 'evalkit gate RUN' or 'evalkit gate --model CHECKPOINT'."
        )
    if named["model"] is not None:
        return
    if sequential:
        raise UsageError("--sequential decides what to run; it needs --model.")
    if measuring:
        option = next(iter(measuring)).replace("_", "-")
        raise UsageError(f"--{option} says how to measure; it needs --model.")


def _judged(
    run: str | None,
    model: str | None,
    config: str | None,
    where: dict[str, Any],
    measuring: dict[str, Any],
    sequential: bool,
) -> "GateResult":
    """The verdict; a failure is told to CI before it is raised."""
    from evalkit import gating

    try:
        if model is None:
            return gating.gate(run or "", config, **where)
        from evalkit.cli.quiet import quiet_libraries

        quiet_libraries()
        return gating.gate_model(model, config, sequential=sequential, settings=measuring, **where)
    except EvalkitError as error:
        for line in gating.annotate(gating.unfinished(str(error), error.exit_code)):
            print(line)
        raise


def print_verdict(result: "GateResult") -> None:
    """Print a gate's table, its remarks and its verdict."""
    from evalkit.gating import report

    if result.checks:
        print_table(report.HEADERS, report.console_rows(result))
        print()
    for remark in result.notes:
        note(f"note: {remark}")
    for line in report.annotate(result):
        print(line)
    print(plain(result.headline))


def _write_template(path: Path) -> None:
    from evalkit.gating import TEMPLATE

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise UsageError(f"{path} exists already; name another with --config.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}.") from error
    print(f"Wrote {path}; next: evalkit gate RUN --config {path}")
