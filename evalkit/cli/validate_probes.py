"""`evalkit validate-probes`: do the probes find what was planted?"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.output import note, print_table
from evalkit.cli.recipes import overrides
from evalkit.errors import EvaluationError, UsageError

if TYPE_CHECKING:
    from evalkit.validity import StudySettings


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("validate-probes")(validate_probes)


def validate_probes(
    out: Annotated[
        Path, typer.Option(help="Folder for checkpoints and runs; a study is gone on with.")
    ] = Path("checkpoints/probe-validity"),
    report: Annotated[
        Path | None, typer.Option(help="Write the report here, and its plot beside it.")
    ] = None,
    knob: Annotated[list[str] | None, typer.Option(help="Only this effect; repeatable.")] = None,
    levels: Annotated[str, typer.Option(help="Levels to plant, from 0.")] = "0,0.25,0.5,0.75,1",
    seeds: Annotated[int, typer.Option(min=1, help="Checkpoints of each level.")] = 2,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the training recipe."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N documents of each probe.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Checkpoints made at a time; by default one a core.")
    ] = None,
) -> None:
    """Train checkpoints with known effects in them and see whether the probes find these."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit import validity
    from evalkit.validity.planted import chosen

    settings = validity.StudySettings(
        out=out,
        planted=chosen(knob or []),
        levels=_levels(levels),
        seeds=range(seeds),
        overrides={**_STUDY_RECIPE, **overrides(set_)},
        limit=limit,
    )
    _measure(settings, jobs or os.cpu_count() or 1)
    figures = validity.figures(settings)
    verdicts = validity.judge(settings.planted, figures)
    from evalkit.validity.report import HEADERS, verdict_rows

    print_table(HEADERS, verdict_rows(verdicts))
    if report is not None:
        picture = report.with_suffix(".png")
        validity.plot(figures, verdicts, picture)
        text = validity.markdown(settings, figures, verdicts, picture.name)
        report.write_text(text, encoding="utf-8")
        note(f"Wrote {report} and {picture}.")
    failing = [verdict.planted.task for verdict in verdicts if not verdict.holds]
    if failing:
        raise EvaluationError(f"These probes do not show what was planted: {', '.join(failing)}.")


_STUDY_RECIPE = {
    "corpus.shares": "{creatures: 36, manners: 4, ordering: 4, reports: 4, tales: 4, trades: 48}",
    "tokenizer.vocabulary": "1024",
    "architecture.layers": "1",
    "architecture.width": "128",
    "architecture.heads": "4",
    "architecture.feed_forward": "512",
    "pretraining.steps": "1500",
    "pretraining.batch_size": "4",
    "pretraining.learning_rate": "6e-3",
}
"""A small checkpoint that reads of little else than what the probes ask, and so learns it all."""


def _measure(settings: "StudySettings", jobs: int) -> None:
    from evalkit import validity
    from evalkit.cli.detector import write_micro_detector

    total = len(validity.cells(settings))
    detector = settings.out / "detector"
    is_needed = any(planted.task == "micro_toxicity" for planted in settings.planted)
    if is_needed and not (detector / "config.json").is_file():
        note("Training the detector of rude replies ...")
        write_micro_detector(detector)
    for number, cell in enumerate(validity.measure(settings, detector, jobs), 1):
        note(f"{number} of {total}: {cell.name}")


def _levels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--levels takes numbers between commas, not {text!r}.") from None
