"""Rules over a comparison: may this run pass?"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import DataError, EvaluationError, UsageError
from evalkit.gating.config import GateConfig
from evalkit.gating.decide import Settled, decide
from evalkit.gating.evidence import Evidence
from evalkit.gating.latency import Rounds, find_rounds
from evalkit.gating.report import write_reports
from evalkit.gating.rules_file import rules_of
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
        EvaluationError: The run was not finished or is damaged; the reports are written first.
    """
    rules = rules_of(config)
    try:
        result = _judge(Store(store), run, rules, config, baseline, seed, today, settled)
    except (EvaluationError, DataError) as error:
        if output is not None:
            write_reports(unfinished(str(error), rules), Path(output))
        raise EvaluationError(str(error)) from error
    if output is not None:
        write_reports(result, Path(output))
    return result


def _judge(
    store: Store,
    run: str,
    rules: GateConfig,
    config: str | Path | GateConfig | None,
    baseline: str | None,
    seed: int,
    today: date | None,
    settled: Settled | None,
) -> GateResult:
    manifest = _finished(store, run)
    found = find_reference(store, rules, baseline)
    held = _hold(store, manifest, rules, found, seed)
    checks: list[Check] = []
    notes = list(held.notes)
    if not held.problem:
        checks, unjudged = _checks(store, manifest, rules, held, seed, settled)
        checks, remarks = waive(checks, rules.waivers, today or datetime.now(UTC).date())
        notes += unjudged + remarks
    return GateResult(
        run=manifest,
        baseline=held.run,
        checks=tuple(sorted(checks, key=lambda check: ORDER.index(check.verdict))),
        notes=tuple(notes),
        problem=held.problem,
        exit_code=NO_BASELINE if held.problem else exit_code(checks),
        command=_command(manifest, found.named, config, store, seed, settled is not None),
        alpha=rules.defaults.alpha,
        comparison=held.comparison,
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """The baseline of a gate.

    Attributes:
        store: Where it lies.
        run: Its manifest; None where there is none.
        named: Its run id, or the file or tag of a baseline.
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
        except (UsageError, DataError) as error:
            problem = f"no baseline: {str(error).rstrip('.')}"
            continue
        return Reference(home, run, run.run_id if home is store else reference)
    return Reference(store, problem=problem)


def unfinished(problem: str, config: GateConfig | None = None) -> GateResult:
    """The result of a gate whose run could not be had: written so that CI finds its reports."""
    return GateResult(
        run=None,
        baseline=None,
        checks=(),
        notes=(),
        problem=problem,
        exit_code=INCOMPLETE,
        command="evalkit gate",
        alpha=(config or GateConfig()).defaults.alpha,
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


@dataclass(frozen=True, slots=True)
class _Held:
    """What a run can be held against.

    Attributes:
        run: The baseline's manifest.
        comparison: Of the samples both have.
        rounds: In which both were timed in turns.
        notes: Sentences on what was not compared.
        problem: Why nothing can be judged.
    """

    run: Manifest | None = None
    comparison: Comparison | None = None
    rounds: Rounds | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""


def _hold(store: Store, run: Manifest, rules: GateConfig, found: Reference, seed: int) -> _Held:
    needed = rules.rules is None or any(rule.paired for rule in rules.rules)
    if found.run is None:
        return _Held(problem=found.problem if needed else "")
    if rules.baseline and (differing := _differing(run, found.run, rules.baseline.require_same)):
        return _Held(found.run, problem=differing)
    rounds = find_rounds(store, run, found.run)
    try:
        compared = compare(
            found.run.run_id, run.run_id, store, baseline_store=found.store, seed=seed
        )
    except NotComparableError as error:
        if rounds.pairs or not needed:  # timings in turns need no sample in common
            return _Held(found.run, rounds=rounds, notes=(str(error),) if needed else ())
        return _Held(found.run, problem=str(error).rstrip("."))
    return _Held(found.run, compared, rounds, compared.notes)


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
    held: _Held,
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
    expected = set(held.comparison.baseline.tasks) if held.comparison else set()
    rules, notes = list(config.rules or ()), []
    if config.rules is None:
        rules, notes = default_rules(directions, expected & set(run.tasks))
        expected = set()
    asked = questions(rules, run, directions, expected)
    evidence = Evidence(store, run.run_id, scores, held.comparison, held.rounds, seed)
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
    seed: int,
    sequential: bool,
) -> str:
    words = ["evalkit", "gate"]
    # A sequential verdict rests on when the run stopped: only measuring again comes to the same.
    words += ["--model", run.model.path, "--sequential"] if sequential else [run.run_id]
    if sequential and (limit := run.settings.get("limit")) is not None:
        words += ["--limit", str(limit)]
    if baseline:
        words += ["--baseline", baseline]
    if isinstance(config, str | Path):
        words += ["--config", str(config)]
    if seed:
        words += ["--seed", str(seed)]
    return shlex.join([*words, "--store", store.url])
