"""`evalkit variants`: what compression does to size, memory, speed and quality."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note, plain, print_table, store_option
from evalkit.errors import EvaluationError, UsageError
from evalkit.settings import describe as describe_setting
from evalkit.variants.settings import SUITE, VariantSettings
from evalkit.variants.variant import VARIANTS

if TYPE_CHECKING:
    from evalkit.variants.outcome import Judged, Outcome
    from evalkit.variants.quality import TaskLoss
    from evalkit.variants.speed import Figure

describe = partial(describe_setting, settings=VariantSettings)
_PLOT = "pareto.png"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("variants")(variants)


def variants(
    model: Annotated[str, typer.Option("--model", help=describe("model"))],
    tasks: Annotated[
        list[str] | None, typer.Option(help=describe("tasks"), show_default=SUITE)
    ] = None,
    make: Annotated[str, typer.Option(help=describe("make"))] = ",".join(VARIANTS),
    limit: options.Limit = None,
    margin: Annotated[float, typer.Option(help=describe("margin"))] = 0.01,
    out: Annotated[Path | None, typer.Option(help=describe("out"))] = None,
    plot: Annotated[
        Path | None, typer.Option(help=f"PNG of the Pareto plot; by default {_PLOT} in --out.")
    ] = None,
    batch_sizes: Annotated[str, typer.Option(help=describe("batch_sizes"))] = "1,4",
    prompt_tokens: Annotated[str, typer.Option(help=describe("prompt_tokens"))] = "32",
    new_tokens: Annotated[int, typer.Option(help=describe("new_tokens"))] = 64,
    repeats: Annotated[int, typer.Option(help=describe("repeats"))] = 5,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    mirror: options.Mirror = None,
    include_path: options.IncludePath = None,
    store: options.Store = options.DEFAULT_STORE,
    name: options.Name = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Take what the same command has finished before.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Make a checkpoint smaller in several ways; compare size, memory, speed and quality."""
    from evalkit.cli.quiet import quick_imports, quiet_libraries

    if plot is not None:
        from evalkit.results.plots import check_plot_path

        check_plot_path(plot)
    quiet_libraries()
    with quick_imports():
        from evalkit.variants.comparing import compare_variants
    outcome = compare_variants(
        model,
        tasks=tasks or [SUITE],
        make=make,
        limit=limit,
        margin=margin,
        out=out,
        batch_sizes=batch_sizes,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        repeats=repeats,
        device=device,
        seed=seed,
        mirror=mirror,
        include_path=include_path or [],
        store=store,
        name=name,
        resume=resume,
        say=note,
    )
    drawn = _draw(outcome, plot)
    if as_json:
        print(json.dumps(outcome.to_dict(), allow_nan=False))
    else:
        _print(outcome, drawn, store)
    if outcome.failed:
        raise EvaluationError(
            f"{len(outcome.failed)} of {len(outcome.failed) + len(outcome.variants)} variants "
            f"could not be made or measured: {', '.join(outcome.failed)}; the reasons are above."
        )


def _draw(outcome: "Outcome", plot: Path | None) -> Path | None:
    """Where the plot is; None where there is nothing to draw, or nothing to draw it with."""
    from evalkit.results.plots import trade_plot

    if len(points := outcome.points()) < 2:
        return None
    path = plot or outcome.folder / _PLOT
    try:
        trade_plot(points, path)
    except UsageError as error:
        note(f"note: the plot is missing: {error}")
        return None
    return path


def _print(outcome: "Outcome", drawn: Path | None, store: str) -> None:
    rows = [_row(one, outcome.device) for one in outcome.variants]
    rows += [(name, "", "", "", "", f"not there: {why}") for name, why in outcome.failed.items()]
    print_table(
        ("Variant", "Size, share", "Memory, share", "Times as fast", "Quality", "Verdict"), rows
    )
    if not outcome.variants:
        return
    print()
    tasks = [(one.measured.name, *_task(loss)) for one in outcome.variants for loss in one.losses]
    headers = ("Variant", "Task", "Metric", "Original", "Variant's", "Difference", "n", "Loss")
    print_table(headers, tasks)
    print()
    for one in outcome.variants:
        print(plain(one.sentence))
    for remark in outcome.notes:
        note(f"note: {remark}")
    print(
        "\nSize of the weight files, memory held while answering, time for the same batches: each "
        "against the original's, with 95 % intervals over rounds taken in turns. ◆: nothing else "
        "is as good and as fast, and better in one."
    )
    if drawn is not None:
        print(plain(f"plot: {drawn}"))
    where = store_option(store)
    print(plain(f"next: evalkit dashboard{where}"))


def _row(one: "Judged", home: str) -> tuple[object, ...]:
    """A line of the table; a device that is not the original's, `home`, stands by the name."""
    found = one.measured
    name = found.name if found.device == home else f"{found.name}, on {found.device}"
    memory = found.memory
    held = "" if memory is None else _shown(memory, 1e6, ".1f", " MB")
    if memory is not None and found.original_memory is not None:
        held += f", {memory.value / found.original_memory.value:.2f}"
    return (
        f"{name}{' ◆' if one.best else ''}",
        f"{found.bytes / 1e6:.3g} MB, {found.size:.2f}",
        held,
        _shown(found.speed, 1, ".3g"),
        "" if one.quality is None else _shown(one.quality, 1, "+.4f"),
        one.verdict,
    )


def _task(loss: "TaskLoss") -> tuple[object, ...]:
    from evalkit.results.text import arrow, number, span

    row = loss.row
    difference = f"{number(row.difference, sign=True)} {span(row.ci_low, row.ci_high)}".strip()
    metric = f"{row.metric}{arrow(row.higher_is_better)}"
    return (
        row.task, metric, number(row.baseline), number(row.candidate), difference, row.n,
        str(loss.loss),
    )  # fmt: skip


def _shown(value: "Figure", unit: float, form: str, name: str = "") -> str:
    text = f"{value.value / unit:{form}}{name}"
    if value.low is None or value.high is None:
        return text
    return f"{text} [{value.low / unit:{form}}, {value.high / unit:{form}}]"
