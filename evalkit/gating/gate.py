"""Rules over a comparison: may this run pass?"""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd

from evalkit.errors import DataError, EvalkitError, EvaluationError, UsageError
from evalkit.gating.config import GateConfig
from evalkit.gating.decide import Settled, decide
from evalkit.gating.evidence import Evidence
from evalkit.gating.reference import Held, find_reference, hold
from evalkit.gating.report import write_reports
from evalkit.gating.rules_file import rules_of
from evalkit.gating.selection import Directions, Question, default_rules, questions
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
from evalkit.redact import without_secrets
from evalkit.results import Manifest, Store
from evalkit.results.comparison import stopped_early
from evalkit.results.gates import keep_verdict


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
        but a result with a `problem` and exit code 4, or 1 where a fixed limit was passed.

    Raises:
        UsageError: The config or the seed is wrong, or `run` names no run.
        EvaluationError: The run was not finished or is damaged; the reports are written first.
    """
    rules = rules_of(config)
    check_seed(seed)
    try:
        opened = Store(store)
        result = _kept(opened, _judge(opened, run, rules, config, baseline, seed, today, settled))
    except DataError as error:
        failure = EvaluationError(str(error))
        report_failure(failure, rules, output)
        raise failure from error
    except EvalkitError as error:
        report_failure(error, rules, output)
        raise
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
    held = hold(store, manifest, rules, found, seed)
    checks: list[Check] = []
    # A verdict that was reached on the way does not take the number of samples as given.
    silent = stopped_early(manifest) if settled is not None else ""
    notes = [note for note in held.notes if note != silent]
    judged, evidence = (_fixed(rules), Held()) if held.problem else (rules, held)
    if judged is not None:
        checks, unjudged = _checks(store, manifest, judged, evidence, seed, settled)
        checks, remarks = waive(checks, rules.waivers, today or datetime.now(UTC).date())
        # Of rules that could not be judged nobody can say whether a waiver is needed.
        notes += unjudged + ([] if held.problem else remarks)
    return GateResult(
        run=manifest,
        baseline=held.run,
        checks=tuple(sorted(checks, key=lambda check: ORDER.index(check.verdict))),
        notes=tuple(notes),
        problem=held.problem,
        exit_code=exit_code(checks, bool(held.problem)),
        command=_command(manifest, found.named, config, store, seed, settled is not None),
        alpha=rules.defaults.alpha,
        comparison=held.comparison,
    )


def _fixed(rules: GateConfig) -> GateConfig | None:
    """The fixed limits among rules, which need no baseline; None where there are none."""
    found = [
        rule.model_copy(update={"max_drop": None, "max_rise": None})
        for rule in rules.rules or ()
        if rule.min is not None or rule.max is not None
    ]
    return rules.model_copy(update={"rules": found}) if found else None


def _kept(store: Store, result: GateResult) -> GateResult:
    """The result, kept in the store; one that cannot be kept is none the worse, and says so."""
    try:
        keep_verdict(store, result.to_dict())
    except Exception as error:  # each file system has errors of its own
        note = f"This verdict is not kept in the store: {without_secrets(str(error))}."
        return replace(result, notes=(*result.notes, note))
    return result


def unfinished(problem: str, exit_code: int, config: GateConfig | None = None) -> GateResult:
    """The result of a gate whose run could not be had."""
    return GateResult(
        run=None,
        baseline=None,
        checks=(),
        notes=(),
        problem=problem,
        exit_code=exit_code,
        command="",
        alpha=(config or GateConfig()).defaults.alpha,
    )


def report_failure(error: EvalkitError, config: GateConfig, output: str | Path | None) -> None:
    """Write the reports of a gate that failed, so that CI finds them."""
    if output is not None:
        write_reports(unfinished(str(error), error.exit_code, config), Path(output))


def check_seed(seed: int) -> None:
    """Raise `UsageError` for a seed that no generator takes."""
    if seed < 0:
        raise UsageError(f"--seed {seed} is negative; give 0 or more.")


def _finished(store: Store, run: str) -> Manifest:
    try:
        return store.resolve(run)
    except UsageError:
        if store.filesystem.isdir(store.path_of(run)):
            raise EvaluationError(
                f"Run {run} in {store.url} was not finished: it has no manifest. Run it again."
            ) from None
        raise


def _checks(
    store: Store,
    run: Manifest,
    config: GateConfig,
    held: Held,
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
    rules, notes = list(config.rules or ()), list[str]()
    if config.rules is None:
        rules, notes = default_rules(directions, expected & set(run.tasks))
        expected = set()
    asked = questions(rules, run, directions, expected)
    evidence = Evidence(store, run.run_id, scores, held.comparison, held.rounds, seed)
    _refuse_repeats(asked, evidence)
    if settled is not None:
        notes.append(settled.note)
    return decide(asked, evidence, config.defaults, settled), notes


def _refuse_repeats(asked: Sequence[Question], evidence: Evidence) -> None:
    for question in asked:
        figure = question.figure
        if figure is not None and question.repeats and figure not in evidence.timed:
            raise UsageError(
                f"A rule gives {figure[1]} of {figure[0]} repeats, but it is no timing: it is "
                "measured once; leave repeats out."
            )


def exit_code(checks: Sequence[Check], incomparable: bool = False) -> int:
    """A regression is sure whatever else is missing; a gap weighs more than an open question."""
    if any(check.verdict is Verdict.REGRESSED for check in checks):
        return REGRESSED
    if incomparable:
        return NO_BASELINE
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
