"""`evalkit judge`: a judge model's opinion of a run's texts."""

import json
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, interval, note, plain, print_table
from evalkit.settings import RunSettings

_RUN = "id, name, tag:KEY=VALUE or latest"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("judge")(judge)


def judge(
    run: Annotated[str, typer.Argument(help=f"The run whose texts are judged: {_RUN}.")],
    judge: Annotated[
        str, typer.Option("--judge", help="The judge: a checkpoint, or openai:URL#MODEL.")
    ],
    against: Annotated[
        str | None, typer.Option(help=f"Prefer between it and this run; {_RUN}.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Human labels, JSON lines of doc_id, label and task.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeatable.")] = None,
    limit: options.Limit = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    mirror: options.Mirror = None,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Rate a run's texts from 1 to 5 by a judge model, or prefer between two runs' texts."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit.results import Store
    from evalkit.runner.judge import judge_run

    settings = RunSettings.checked(
        model=judge,
        tasks=task or ["judged"],
        limit=limit,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        mirror=mirror,
        store=store,
    )
    result = judge_run(
        Store(store), run, settings, against=against, labels=labels, tasks=task or []
    )
    for warning in result.manifest.warnings:
        note(f"warning: {warning}")
    if as_json:
        print(json.dumps(result.summary(), allow_nan=False))
        return
    print_table(
        ("Task", "Metric", "Value", "95 % CI", "n"),
        [
            (score.task, score.metric, figure(score.value),
             interval(score.ci_low, score.ci_high), score.n)
            for score in result.scores
        ],
    )  # fmt: skip
    print(plain(f"\nThe verdicts are run {result.manifest.run_id}."))
