"""A gate on a checkpoint: run what the rules need, then judge."""

import secrets
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import EvalkitError, UsageError
from evalkit.gating.config import GateConfig
from evalkit.gating.gate import check_seed, gate, report_failure, unfinished
from evalkit.gating.latency import ROUND, SESSION, SIDE
from evalkit.gating.reference import Reference, find_reference
from evalkit.gating.report import write_reports
from evalkit.gating.rules_file import rules_of
from evalkit.gating.verdict import NO_BASELINE, GateResult
from evalkit.results import Manifest, Store
from evalkit.results.difference import TIMED
from evalkit.results.profiles import PROFILE
from evalkit.settings import RunSettings

if TYPE_CHECKING:
    from evalkit.runner.plan import Plan

# What a run has to have in common with its baseline, unless the caller says otherwise.
_INHERITED = ("num_fewshot", "fewshot_seeding", "limit", "seed", "dtype", "include_path", "mirror")
_PROFILE = (
    "The task profile is not run with others: time the checkpoint with 'evalkit "
    "profile', then gate that run ('evalkit gate RUN --config FILE'), or name the task latency, "
    "which --model times in turns with the baseline."
)


def gate_model(
    model: str,
    config: str | Path | GateConfig | None = None,
    *,
    baseline: str | None = None,
    store: str | Path = "reports",
    output: str | Path | None = None,
    sequential: bool = False,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> GateResult:
    """Measure a checkpoint on what the rules need, and hold it to them.

    Tasks are those the rules name (all of the baseline's, without rules). Shots, limit, seed and
    dtype are the baseline's unless `settings` says otherwise, so that samples pair. Timings that
    have to be compared are taken in turns with the baseline's checkpoint, if that is at hand.

    Args:
        model: Checkpoint folder, or org/name of a model in the mirror.
        config: As for `gate`.
        baseline: As for `gate`.
        store: Where the run goes and where the baseline is looked for.
        output: As for `gate`.
        sequential: Ask documents in rounds, in random order, until every rule is decided.
        seed: Of the order of documents, of permutations and of bootstraps.
        settings: Further fields of `RunSettings`.

    Raises:
        UsageError: A setting or the config is wrong, or nothing says which tasks to run.
        DataError: The checkpoint or a task's data cannot be used.
        EvaluationError: The run failed. The reports are written before any of these is raised,
            but for a config that is wrong.
    """
    used = rules_of(config)
    check_seed(seed)
    opened = Store(store)
    reference = find_reference(opened, used, baseline)
    if used.rules is None and reference.run is None and (baseline or used.baseline):
        missing = unfinished(reference.problem, NO_BASELINE, used)
        if output is not None:
            write_reports(missing, Path(output))
        return missing
    settled = None
    try:
        chosen = _settings(model, used, reference, opened, dict(settings or {}))
        if sequential:
            from evalkit.gating.sequential import measure_sequentially

            manifest, settled = measure_sequentially(chosen, used, reference, seed)
        else:
            manifest = _measure(chosen, used, reference)
    except EvalkitError as error:
        report_failure(error, used, output)
        raise
    return gate(
        manifest.run_id,
        config,
        baseline=baseline,
        store=store,
        output=output,
        seed=seed,
        settled=settled,
    )


def _settings(
    model: str, config: GateConfig, reference: Reference, store: Store, given: dict[str, Any]
) -> RunSettings:
    inherited = {}
    if reference.run is not None:
        known = reference.run.settings
        inherited = {name: known[name] for name in _INHERITED if known.get(name) is not None}
    tasks = _tasks(config, reference.run)
    if PROFILE in tasks:
        raise UsageError(_PROFILE)
    return RunSettings.checked(
        **{**inherited, **given, "model": model, "tasks": tasks, "store": store.url}
    )


def _tasks(config: GateConfig, baseline: Manifest | None) -> list[str]:
    if config.rules is None:
        if baseline is None:
            raise UsageError(
                "Neither rules nor a baseline say which tasks to run; give --config or --baseline."
            )
        return list(baseline.tasks)
    known = baseline.tasks if baseline else {}
    tasks: list[str] = []
    for rule in config.rules:
        # A glob means what the baseline has; without one, whatever the registry knows.
        tasks += [task for task in known if fnmatchcase(task, rule.task)] or [rule.task]
    return list(dict.fromkeys(tasks))


def _measure(settings: RunSettings, config: GateConfig, reference: Reference) -> Manifest:
    from evalkit.runner import execute, make_plan

    plan = make_plan(settings)
    timed = _timed(config, plan) if reference.run else {}
    other = _baseline_checkpoint(reference, settings) if timed else None
    if other is None or reference.run is None:
        return execute(plan).manifest
    session = secrets.token_hex(4)
    for number in range(max(timed.values())):
        tasks = [task for task, repeats in timed.items() if number < repeats]
        sides = [("run", settings.model), ("baseline", other)]
        # Who goes first changes from round to round, so that warming up favours neither.
        for side, model in sides if number % 2 == 0 else reversed(sides):
            tags = {**settings.tags, SESSION: session, SIDE: side, ROUND: f"{number:03d}"}
            name = f"timing-{number}-{side}"
            update = {"model": model, "tasks": tasks, "tags": tags, "name": name}
            execute(make_plan(settings.model_copy(update=update)))
    tags = {**settings.tags, SESSION: session}
    return execute(make_plan(settings.model_copy(update={"tags": tags}))).manifest


def _timed(config: GateConfig, plan: "Plan") -> dict[str, int]:
    """Tasks whose timings a rule compares with the baseline's, and how often to take them."""
    clocked = [
        planned.task.name
        for planned in plan.tasks
        if any(metric.unit in TIMED for metric in planned.task.metrics.values())
    ]
    found: dict[str, int] = {}
    for rule in config.rules or ():
        for task in clocked:
            if rule.paired and fnmatchcase(task, rule.task):
                found[task] = max(found.get(task, 0), rule.repeats)
    return found


def _baseline_checkpoint(reference: Reference, settings: RunSettings) -> str | None:
    """The baseline's checkpoint, if it is where it was and still the same."""
    from evalkit.engine.model import open_model

    if reference.run is None:
        return None
    try:
        found = open_model(reference.run.model.path, settings.mirror)
    except EvalkitError:
        return None
    same = found.weights_hash == reference.run.model.weights_hash
    return reference.run.model.path if same else None
