"""`evalkit gate`: may this run pass?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.output import DEFAULT_STORE, StoreOption, note, plain, print_table
from evalkit.errors import UsageError

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
        str | None, typer.Option("--baseline", help="The run to compare with; same forms as RUN.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Rules (YAML); without, no primary metric may get worse."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder for gate.json, gate.xml and gate.md.")
    ] = None,
    init: Annotated[bool, typer.Option("--init", help="Write a commented gate.yaml.")] = False,
) -> None:
    """Give a verdict on a run.

    Exit codes: 0 pass, 1 regressed, 2 wrong config or usage, 3 evaluation incomplete, 4 baseline
    missing or not comparable, 5 inconclusive where the config says that fails.
    """
    if init:
        _write_template(config or Path("gate.yaml"))
        return
    if run is None:
        raise UsageError("Name the run to judge: 'evalkit gate RUN --baseline RUN', or --init.")
    from evalkit import gating

    result = gating.gate(run, config, baseline=baseline, store=store, output=output)
    print_verdict(result)
    if output is not None:
        print(f"reports: {output}/gate.md, gate.json, gate.xml")
    if result.baseline and not result.problem:
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
