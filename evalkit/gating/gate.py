"""Rules over a comparison: may this run pass?"""

import shlex
from pathlib import Path

import pandas as pd

from evalkit.errors import EvaluationError, UsageError
from evalkit.gating.config import GateConfig, load_config
from evalkit.gating.decide import Evidence, decide
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
from evalkit.results import Comparison, Manifest, NotComparableError, Store, compare


def gate(
    run: str,
    config: str | Path | GateConfig | None = None,
    *,
    baseline: str | None = None,
    store: str | Path = "reports",
    output: str | Path | None = None,
    seed: int = 0,
) -> GateResult:
    """Hold a run to rules, most of them against a baseline.

    Args:
        run: Run id, name, `tag:KEY=VALUE` or `latest`.
        config: Rules, or the file they are in; by default no task's primary metric may get worse.
        baseline: The run to compare with, instead of the config's.
        store: Where both runs lie.
        output: Folder for gate.json, gate.xml (JUnit) and gate.md, written whatever the verdict.
        seed: Seed of permutations and bootstraps.

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
    manifest = _finished(opened, run)
    other, comparison, problem = _comparison(opened, manifest, settings, baseline, seed)
    checks: list[Check] = []
    notes = list(comparison.notes) if comparison else []
    if not problem:
        checks, unjudged = _checks(opened, manifest, settings, comparison, seed)
        notes += unjudged
    result = GateResult(
        run=manifest,
        baseline=other,
        checks=tuple(sorted(checks, key=lambda check: ORDER.index(check.verdict))),
        notes=tuple(notes),
        problem=problem,
        exit_code=NO_BASELINE if problem else _exit_code(checks),
        command=_command(manifest, other, config, opened),
        alpha=settings.defaults.alpha,
        comparison=comparison,
    )
    if output is not None:
        write_reports(result, Path(output))
    return result


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
    store: Store, run: Manifest, config: GateConfig, named: str | None, seed: int
) -> tuple[Manifest | None, Comparison | None, str]:
    """The baseline, the comparison with it, and what stood in the way."""
    chosen = config.baseline
    references = [named] if named else [chosen.select, chosen.fallback] if chosen else []
    needed = config.rules is None or any(rule.paired for rule in config.rules)
    problem = "no baseline was named; give --baseline or a baseline in the config"
    for reference in filter(None, references):
        try:
            other = store.resolve(reference)
        except UsageError as error:
            problem = f"no baseline: {str(error).rstrip('.')}"
            continue
        try:
            return other, compare(other.run_id, run.run_id, store, seed=seed), ""
        except NotComparableError as error:
            return other, None, str(error).rstrip(".") if needed else ""
    return None, None, problem if needed else ""


def _checks(
    store: Store, run: Manifest, config: GateConfig, comparison: Comparison | None, seed: int
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
    evidence = Evidence(store, run.run_id, scores, comparison, seed)
    return decide(asked, evidence, config.defaults), notes


def _exit_code(checks: list[Check]) -> int:
    """A regression is sure whatever else is missing; a gap weighs more than an open question."""
    if any(check.verdict is Verdict.REGRESSED for check in checks):
        return REGRESSED
    codes = {check.exit_code for check in checks}
    return next((code for code in (NO_BASELINE, INCOMPLETE, UNDECIDED) if code in codes), PASSED)


def _command(
    run: Manifest,
    baseline: Manifest | None,
    config: str | Path | GateConfig | None,
    store: Store,
) -> str:
    words = ["evalkit", "gate", run.run_id]
    if baseline:
        words += ["--baseline", baseline.run_id]
    if isinstance(config, str | Path):
        words += ["--config", str(config)]
    return shlex.join([*words, "--store", store.url])
