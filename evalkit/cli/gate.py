"""`evalkit gate`: may this run pass?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.output import DEFAULT_STORE, StoreOption, note, plain, print_table
from evalkit.errors import UsageError
from evalkit.settings import describe

if TYPE_CHECKING:
    from evalkit.gating import GateResult


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("gate")(gate)


def gate(
    run: Annotated[
        str | None, typer.Argument(help="The run in question: id, name, tag:KEY=VALUE or latest.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="As RUN, or tag:NAME or file of a baseline."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Rules (YAML); without, no primary metric may get worse."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A checkpoint: measure what the rules need first.")
    ] = None,
    sequential: Annotated[
        bool,
        typer.Option("--sequential", help="With --model: ask only as many samples as it takes."),
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder for gate.json, gate.xml and gate.md.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help=f"With --model: {describe('limit')}")] = None,
    batch_size: Annotated[
        str | None, typer.Option(help=f"With --model: {describe('batch_size')}")
    ] = None,
    device: Annotated[str | None, typer.Option(help=f"With --model: {describe('device')}")] = None,
    include_path: Annotated[
        list[str] | None, typer.Option(help=f"With --model: {describe('include_path')}")
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(envvar="EVALKIT_MIRROR", help=describe("mirror"))
    ] = None,
    name: Annotated[str | None, typer.Option(help=f"With --model: {describe('name')}")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of samples and of resampling.")] = 0,
    init: Annotated[bool, typer.Option("--init", help="Write a commented gate.yaml.")] = False,
) -> None:
    """Give a verdict on a run, or on a checkpoint that is measured first.

    Exit codes: 0 pass, 1 regressed, 2 wrong config or usage, 3 evaluation incomplete, 4 baseline
    missing or not comparable, 5 inconclusive where the config says that fails.
    """
    if init:
        _write_template(config or Path("gate.yaml"))
        return
    if (run is None) is (model is None):
        raise UsageError(
            "Name one thing to judge: 'evalkit gate RUN' or 'evalkit gate --model CHECKPOINT'."
        )
    if sequential and model is None:
        raise UsageError("--sequential decides what to run; it needs --model.")
    from evalkit import gating

    if model is not None:
        from evalkit.cli.quiet import quiet_libraries

        quiet_libraries()
        given = {
            "limit": limit,
            "batch_size": batch_size,
            "device": device,
            "include_path": include_path,
            "mirror": mirror,
            "name": name,
        }
        result = gating.gate_model(
            model,
            config,
            baseline=baseline,
            store=store,
            output=output,
            sequential=sequential,
            seed=seed,
            settings={option: value for option, value in given.items() if value is not None},
        )
    else:
        result = gating.gate(
            run or "", config, baseline=baseline, store=store, output=output, seed=seed
        )
    print_verdict(result)
    if output is not None:
        print(f"reports: {output}/gate.md, gate.json, gate.xml")
    if result.baseline and result.run and not result.problem:
        names = f"{result.baseline.run_id} {result.run.run_id}"
        print(f"next: evalkit compare {names} --store {store} --flips 20")
    raise typer.Exit(result.exit_code)


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
