"""Rules over a comparison: may this run pass?"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import EvaluationError, UsageError
from evalkit.gating.config import GateConfig, load_config
from evalkit.gating.decide import Evidence, Settled, decide
from evalkit.gating.latency import find_rounds
from evalkit.gating.report import write_reports
from evalkit.gating.selection import Directions, default_rules, questions
from evalkit.gating.verdict import (
    INCOMPLETE,
    NO_BASELINE,
    ORDER,
    PASSED,
    REGRESSED,
    UNDECIDED,
    Check,
    GateResult,
    Verdict,
)
from evalkit.gating.waive import waive
from evalkit.results import Comparison, Manifest, NotComparableError, Store, compare
from evalkit.results.baseline import find_baseline


def gate(
    run: str,
    config: str | Path | GateConfig | None = None,
    *,
    baseline: str | None = None,
    store: str | Path = "reports",
    output: str | Path | None = None,
    seed: int = 0,
    today: date | None = None,
    settled: Settled | None = None,
) -> GateResult:
    """Hold a run to rules, most of them against a baseline.

    Args:
        run: Run id, name, `tag:KEY=VALUE` or `latest`.
        config: Rules, or the file they are in; by default no task's primary metric may get worse.
        baseline: The run to compare with, instead of the config's: in the same forms, or
            `tag:NAME` of a baseline, or a baseline file.
        store: Where both runs lie.
        output: Folder for gate.json, gate.xml (JUnit) and gate.md, written whatever the verdict.
        seed: Seed of permutations and bootstraps.
        today: The day waivers are held against; by default it is today's, in UTC.
        settled: What a sequential gate decided while the run was being made.

    Returns:
        The verdicts, worst first. A baseline that is missing or cannot be paired is no exception
        but a result with a `problem` and exit code 4.

    Raises:
        UsageError: The config is wrong, or `run` names no run.
        EvaluationError: The run was not finished.
    """
    opened = Store(store)
    rules = config if isinstance(config, GateConfig) else load_config(config) if config else None
    settings = rules or GateConfig()
    try:
        manifest = _finished(opened, run)
    except EvaluationError as error:
        if output is not None:
            write_reports(unfinished(str(error), settings), Path(output))
        raise
    found = find_reference(opened, settings, baseline)
    other, comparison, problem = _comparison(opened, manifest, settings, found, seed)
    checks: list[Check] = []
    notes = list(comparison.notes) if comparison else []
    if not problem:
        checks, unjudged = _checks(opened, manifest, settings, comparison, seed, settled)
        checks, remarks = waive(checks, settings.waivers, today or datetime.now(UTC).date())
        notes += unjudged + remarks
    result = GateResult(
        run=manifest,
        baseline=other,
        checks=tuple(sorted(checks, key=lambda check: ORDER.index(check.verdict))),
        notes=tuple(notes),
        problem=problem,
        exit_code=NO_BASELINE if problem else exit_code(checks),
        command=_command(manifest, found.named, config, opened),
        alpha=settings.defaults.alpha,
        comparison=comparison,
    )
    if output is not None:
        write_reports(result, Path(output))
    return result


@dataclass(frozen=True, slots=True)
class Reference:
    """The baseline of a gate.

    Attributes:
        store: Where it lies.
        run: Its manifest; None where there is none.
        named: As it was asked for.
        problem: Why there is none.
    """

    store: Store
    run: Manifest | None = None
    named: str = ""
    problem: str = ""


def find_reference(store: Store, config: GateConfig, named: str | None) -> Reference:
    """The baseline that the command or the config names, or else the config's fallback."""
    chosen = config.baseline
    references = [named] if named else [chosen.select, chosen.fallback] if chosen else []
    problem = "no baseline was named; give --baseline or a baseline in the config"
    for reference in filter(None, references):
        try:
            home, run = find_baseline(store, reference)
        except UsageError as error:
            problem = f"no baseline: {str(error).rstrip('.')}"
            continue
        return Reference(home, run, reference)
    return Reference(store, problem=problem)


def unfinished(problem: str, config: GateConfig) -> GateResult:
    """The result of a gate whose run could not be had: written so that CI finds its reports."""
    return GateResult(
        run=None,
        baseline=None,
        checks=(),
        notes=(),
        problem=problem,
        exit_code=INCOMPLETE,
        command="evalkit gate",
        alpha=config.defaults.alpha,
    )


def _finished(store: Store, run: str) -> Manifest:
    try:
        return store.resolve(run)
    except UsageError:
        if store.filesystem.isdir(store.path_of(run)):
            raise EvaluationError(
                f"Run {run} in {store.url} was not finished: it has no manifest. Run it again."
            ) from None
        raise


def _comparison(
    store: Store, run: Manifest, config: GateConfig, found: Reference, seed: int
) -> tuple[Manifest | None, Comparison | None, str]:
    """The baseline, the comparison with it, and what stood in the way."""
    needed = config.rules is None or any(rule.paired for rule in config.rules)
    if found.run is None:
        return None, None, found.problem if needed else ""
    if config.baseline and (differing := _differing(run, found.run, config.baseline.require_same)):
        return found.run, None, differing
    try:
        compared = compare(
            found.run.run_id, run.run_id, store, baseline_store=found.store, seed=seed
        )
    except NotComparableError as error:
        return found.run, None, str(error).rstrip(".") if needed else ""
    return found.run, compared, ""


def _differing(run: Manifest, baseline: Manifest, fields: tuple[str, ...]) -> str:
    """The first field of `require_same` that differs, in words; empty where none does."""
    mine, theirs = run.model_dump(mode="json"), baseline.model_dump(mode="json")
    for field in fields:
        a, b = _field(theirs, field), _field(mine, field)
        if a is None and b is None:
            raise UsageError(f"require_same: neither run has a field {field!r} in its manifest.")
        if a != b:
            return f"{baseline.name} cannot be compared: {field} was {a}, here it is {b}"
    return ""


def _field(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _checks(
    store: Store,
    run: Manifest,
    config: GateConfig,
    comparison: Comparison | None,
    seed: int,
    settled: Settled | None,
) -> tuple[list[Check], list[str]]:
    scores = {
        (row["task"], row["metric"], row["filter"]): row
        for _, row in store.scores([run.run_id]).fillna({"filter": "none"}).iterrows()
    }
    directions: Directions = {
        figure: None if pd.isna(row["higher_is_better"]) else bool(row["higher_is_better"])
        for figure, row in scores.items()
    }
    expected = set(comparison.baseline.tasks) if comparison else set()
    shared = expected & set(run.tasks)
    rules = list(config.rules or ())
    notes: list[str] = []
    if config.rules is None:
        (rules, notes), expected = default_rules(directions, shared), set()
    asked = questions(rules, run, directions, expected)
    rounds = find_rounds(store, run, comparison.baseline) if comparison else None
    evidence = Evidence(store, run.run_id, scores, comparison, rounds, seed)
    if settled is not None:
        notes.append(settled.note)
    return decide(asked, evidence, config.defaults, settled), notes


def exit_code(checks: Sequence[Check]) -> int:
    """A regression is sure whatever else is missing; a gap weighs more than an open question."""
    if any(check.verdict is Verdict.REGRESSED for check in checks):
        return REGRESSED
    codes = {check.exit_code for check in checks}
    return next((code for code in (NO_BASELINE, INCOMPLETE, UNDECIDED) if code in codes), PASSED)


def _command(
    run: Manifest,
    baseline: str,
    config: str | Path | GateConfig | None,
    store: Store,
) -> str:
    words = ["evalkit", "gate", run.run_id]
    if baseline:
        words += ["--baseline", baseline]
    if isinstance(config, str | Path):
        words += ["--config", str(config)]
    return shlex.join([*words, "--store", store.url])
