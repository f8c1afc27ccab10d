"""`evalkit run`: measure a checkpoint."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, interval, note, plain, print_table, store_option
from evalkit.errors import EvaluationError, StoppedError, UsageError
from evalkit.redact import without_secrets
from evalkit.settings import RunSettings, describe

if TYPE_CHECKING:
    from evalkit.runner import Plan, RunResult


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("run")(run)


def run(
    context: typer.Context,
    model: Annotated[str | None, typer.Option("--model", help=describe("model"))] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", help=describe("tasks")),
    ] = None,
    more_tasks: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    num_fewshot: options.Fewshot = None,
    fewshot_seeding: Annotated[str, typer.Option(help=describe("fewshot_seeding"))] = "document",
    limit: options.Limit = None,
    batch_size: options.BatchSize = None,
    concurrency: Annotated[int, typer.Option(help=describe("concurrency"))] = 8,
    requests_per_minute: Annotated[
        float | None, typer.Option(help=describe("requests_per_minute"))
    ] = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    workers: options.Workers = None,
    device_per_worker: options.DevicePerWorker = "auto",
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    compile_: options.Compile = False,
    seed: options.Seed = 0,
    mirror: options.Mirror = None,
    include_path: options.IncludePath = None,
    trust_remote_code: Annotated[
        list[str] | None, typer.Option(help=describe("trust_remote_code"))
    ] = None,
    trust_functions: options.TrustFunctions = None,
    trust_code_execution: Annotated[
        list[str] | None, typer.Option(help=describe("trust_code_execution"))
    ] = None,
    detector_path: Annotated[str | None, typer.Option(help=describe("detector_path"))] = None,
    detector_sensitivity: Annotated[
        str | None, typer.Option(help=describe("detector_sensitivity"))
    ] = None,
    detector_specificity: Annotated[
        str | None, typer.Option(help=describe("detector_specificity"))
    ] = None,
    toxicity_prompts: Annotated[str | None, typer.Option(help=describe("toxicity_prompts"))] = None,
    continuations: Annotated[int, typer.Option(help=describe("continuations"))] = 10,
    store: options.Store = options.DEFAULT_STORE,
    name: options.Name = None,
    tag: Annotated[list[str] | None, typer.Option(help=describe("tags"))] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with the unfinished run of this id; 'auto': with one that fits."),
    ] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Take the store's responses where every hash agrees.")
    ] = False,
    as_json: options.Json = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Plan only: print what would be asked.")
    ] = False,
) -> None:
    """Measure a checkpoint on tasks, keep every sample, print the scores."""
    given = {
        "model": model,
        "tasks": [*(tasks or []), *(more_tasks or [])],
        "num_fewshot": num_fewshot,
        "fewshot_seeding": fewshot_seeding,
        "limit": limit,
        "batch_size": batch_size,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "engine": engine,
        "address": address,
        "workers": workers,
        "device_per_worker": device_per_worker,
        "device": device,
        "dtype": dtype,
        "compile": compile_,
        "seed": seed,
        "mirror": mirror,
        "include_path": include_path or [],
        "trust_remote_code": trust_remote_code or [],
        "trust_functions": trust_functions or [],
        "trust_code_execution": trust_code_execution or [],
        "detector_path": detector_path,
        "detector_sensitivity": detector_sensitivity,
        "detector_specificity": detector_specificity,
        "toxicity_prompts": toxicity_prompts,
        "continuations": continuations,
        "name": name,
        "tags": _tags(tag or []),
    }
    try:
        plans = _plans(given, _typed(context, given), store, resume)
        if dry_run:
            _print_plan(plans)
        elif len(plans) > 1 or plans[0].settings.model != (model or plans[0].settings.model):
            run_many(plans, resume, reuse, as_json)
        else:
            from evalkit.runner import execute

            print_run(execute(plans[0], resume=resume, reuse=reuse), store, as_json)
    except KeyboardInterrupt as error:
        raise StoppedError("Stopped before anything was asked.") from error


def run_many(plans: "list[Plan]", resume: str | None, reuse: bool, as_json: bool) -> None:
    """Carry out plans, printing each run as it ends.

    Raises:
        EvaluationError: A checkpoint could not be measured; the others were.
    """
    from evalkit.runner import Failed, Measured, execute_many

    failed = []
    for outcome in execute_many(plans, resume=resume, reuse=reuse):
        if isinstance(outcome, Failed):
            failed.append(outcome.model)
            note(f"{outcome.model}: {outcome.error}")
        elif isinstance(outcome, Measured):
            note(f"{outcome.model} is measured already: {outcome.run.run_id}")
        else:
            print_run(outcome, plans[0].settings.store, as_json)
    if failed:
        raise EvaluationError(
            f"{len(failed)} of {len(plans)} checkpoints could not be measured: "
            f"{', '.join(failed)}; go on with the same command and --resume auto."
        )


def print_run(result: "RunResult", store: str, as_json: bool) -> None:
    """Print a finished run, its warnings first."""
    for warning in result.manifest.warnings:
        note(f"warning: {warning}")
    if as_json:
        print(json.dumps(result.summary(), allow_nan=False))
    else:
        _print_result(result, store)


def _typed(context: typer.Context, given: dict[str, Any]) -> dict[str, Any]:
    """The options that the user has named, defaults left out."""
    named = {
        {"more_tasks": "tasks", "tag": "tags", "compile_": "compile"}.get(name, name)
        for name in context.params
        if str(getattr(context.get_parameter_source(name), "name", "")) != "DEFAULT"
    }
    return {name: value for name, value in given.items() if name in named}


def _plans(
    given: dict[str, Any], typed: dict[str, Any], store: str, resume: str | None
) -> "list[Plan]":
    """The plan of the run; or one for each checkpoint, where a glob names them."""
    from evalkit.cli.quiet import quick_imports, quiet_libraries

    quiet_libraries()
    with quick_imports():
        from evalkit.runner import (
            find_models,
            is_pattern,
            make_plan,
            plan_many,
            settings_to_resume,
        )

        if resume is not None and resume != "auto":
            return [make_plan(settings_to_resume(store, resume, typed))]
        if given["model"] is None:
            raise UsageError("--model is missing: name a checkpoint, or a run with --resume RUN.")
        settings = RunSettings.checked(**given, store=store)
        if not is_pattern(settings.model):
            return [make_plan(settings)]
        models, others = find_models(settings.model)
        if others:
            note(f"note: no checkpoint, left out: {', '.join(others)}")
        return plan_many(settings, models)


def _tags(pairs: list[str]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise UsageError(f"--tag {pair!r} is not of the form KEY=VALUE.")
        tags[key] = value
    return tags


def _print_plan(plans: "list[Plan]") -> None:
    plan = plans[0]
    rows = [
        (
            p.task.name,
            p.task.family,
            p.task.num_fewshot,
            len(p.documents),
            p.requests,
            p.task.source,
        )
        for p in plan.tasks
    ]
    print_table(("Task", "Family", "n-shot", "Documents", "Requests", "Source"), rows)
    _print_first(plan)
    for each in plans:
        note(f"{each.checkpoint.path} would answer {sum(row[4] for row in rows)} requests.")


def _print_first(plan: "Plan") -> None:
    """The first document of the first task, as it would be asked."""
    from evalkit.cli.show import print_document
    from evalkit.registry.describe import right_choices

    task, document = plan.tasks[0].task, plan.tasks[0].documents[0]
    print(plain(f"\n{task.name}"), end="")
    print_document(document, right_choices(task, document))


def _print_result(result: "RunResult", store: str) -> None:
    manifest = result.manifest
    rows = [
        (
            score.task,
            manifest.tasks[score.task].version,
            score.filter,
            manifest.tasks[score.task].num_fewshot,
            score.metric,
            {True: "↑", False: "↓", None: ""}[score.higher_is_better],
            figure(score.value),
            figure(score.stderr),
            interval(score.ci_low, score.ci_high),
            score.n,
        )
        for score in result.scores
        if score.tasks is None
    ]
    print_table(
        ("Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "Stderr", "95 % CI", "n"),
        rows,
    )
    _print_suites(result)
    for remark in dict.fromkeys(score.note for score in result.scores if score.note):
        note(f"note: {remark}")
    where = store_option(store)
    url = f"{store.rstrip('/')}/{manifest.run_id}"
    path = without_secrets(url) if "://" in store else result.path
    print(plain(f"\nRun {manifest.run_id} is in {path}; next: evalkit ls runs{where}"))


def _print_suites(result: "RunResult") -> None:
    """One figure for each suite whose file says how its tasks make one."""
    rows = [
        (
            score.task, score.tasks, score.filter, score.metric, figure(score.value),
            figure(score.stderr), interval(score.ci_low, score.ci_high), score.n,
        )
        for score in result.scores
        if score.tasks is not None
    ]  # fmt: skip
    if rows:
        print()
        print_table(("Suite", "Tasks", "Filter", "Metric", "Value", "Stderr", "95 % CI", "n"), rows)
