"""What the data say to each question, before the gate's questions are corrected together."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.gating.config import Defaults, Margin
from evalkit.gating.evidence import Evidence
from evalkit.gating.latency import TimingDifference, timing_differences
from evalkit.gating.selection import Figure, Question
from evalkit.gating.verdict import INCOMPLETE, NO_BASELINE, UNDECIDED, Check, Level, Verdict
from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results import Difference
from evalkit.results.text import number, span
from evalkit.stats import t_p, value_p

# Batch size, order and threads move a mean log-likelihood in its fifth digit; a checkpoint against
# itself must pass, however consistent so small a difference is.
NOISE = 1e-4
_PERCENTILE = re.compile(r"p\d+")
_LEVELS: dict[str, Level] = {"fail": "error", "warn": "warning", "pass": ""}


@dataclass(frozen=True, slots=True)
class Finding:
    """A check before correction; its verdict is final where `tested` is false.

    Attributes:
        loss_p: P-value of lying at the limit where the run is beyond it, else 1.
        gain_p: P-value of no difference where the run is better, else 1.
        deviation: Standard deviation of one sample, for the number that would tell.
    """

    check: Check
    tested: bool = False
    beyond: bool = False
    loss_p: float = 1.0
    gain_p: float = 1.0
    deviation: float | None = None
    settled: bool = False


def ask(question: Question, evidence: Evidence, defaults: Defaults) -> list[Finding]:
    """Hold one question's figure to its limit; a timing has two answers, median and slow end."""
    figure, bound = question.figure, question.bound
    if figure is None:
        return [_gap(question, question.missing, INCOMPLETE, defaults)]
    score = evidence.scores[figure]
    if isinstance(bound, Margin) and figure in evidence.timed:
        return _ask_timing(question, figure, bound, evidence, defaults)
    if pd.isna(score["value"]):
        return [_gap(question, "undefined in the run", INCOMPLETE, defaults)]
    if isinstance(bound, Margin):
        return [_ask_difference(question, figure, bound, evidence, defaults)]
    return [_ask_value(question, figure, float(bound), score, evidence, defaults)]


def undecided(check: Check, defaults: Defaults) -> Check:
    """The check as an open question, and what the config makes of that."""
    needed = "" if check.n_needed is None else f"; about {check.n_needed:,} samples would tell"
    return replace(
        check,
        verdict=Verdict.INCONCLUSIVE,
        reason=check.reason + needed,
        exit_code=UNDECIDED if defaults.on_inconclusive == "fail" else 0,
        level=_LEVELS[defaults.on_inconclusive],
    )


def _check(question: Question, verdict: Verdict, reason: str) -> Check:
    task, metric, filter_ = question.figure or (question.task, question.metric, "")
    return Check(task, metric, filter_, question.label, verdict, reason)


def _gap(question: Question, reason: str, exit_code: int, defaults: Defaults) -> Finding:
    if defaults.on_missing == "fail":
        check = _check(question, Verdict.ERROR, reason)
        return Finding(replace(check, exit_code=exit_code, level="error"))
    check = _check(question, Verdict.SKIPPED, reason)
    return Finding(replace(check, level=_LEVELS[defaults.on_missing]))


def _ask_difference(
    question: Question, figure: Figure, margin: Margin, evidence: Evidence, defaults: Defaults
) -> Finding:
    row = evidence.difference(figure)
    if row is None:
        return _gap(question, evidence.unpaired(figure[0]), NO_BASELINE, defaults)
    if row.difference is None or row.baseline is None:
        return _gap(question, "undefined over the pairs", NO_BASELINE, defaults)
    worse = -row.difference if question.limit == "max_drop" else row.difference
    excess = worse - margin.of(row.baseline)
    check = _paired_check(question, row, excess)
    if row.wins is None:
        reason = f"{row.note}; limit it with min or max"
        return Finding(replace(check, verdict=Verdict.SKIPPED, reason=reason))
    if row.p is None:
        reason = f"{row.n} pairs are too few to test"
        return Finding(undecided(replace(check, reason=reason), defaults))
    noise = 0.0 if row.test == "mcnemar" else NOISE * abs(row.baseline)
    if excess <= noise:
        better = row.higher_is_better is not None and -worse > noise
        return Finding(check, tested=True, gain_p=row.p if better else 1.0)
    p = _loss_p(question, figure, margin, row, evidence)
    if p is None:
        reason = "the resamples were mostly undefined"
        return Finding(undecided(replace(check, reason=reason), defaults))
    deviation = None if row.stderr is None else row.stderr * float(np.sqrt(row.n))
    return Finding(check, tested=True, beyond=True, loss_p=p, deviation=deviation)


def _paired_check(question: Question, row: Difference, excess: float) -> Check:
    return replace(
        _check(question, Verdict.PASS, ""),
        higher_is_better=row.higher_is_better,
        value=row.candidate,
        baseline=row.baseline,
        difference=row.difference,
        ci_low=row.ci_low,
        ci_high=row.ci_high,
        excess=excess,
        n=row.n,
        visible_effect=row.visible_effect,
    )


def _loss_p(
    question: Question, figure: Figure, margin: Margin, row: Difference, evidence: Evidence
) -> float | None:
    """P-value of the difference being exactly what the margin allows."""
    allowed = margin.of(row.baseline or 0.0)
    if evidence.comparison is None or (allowed == 0 and question.test == "auto"):
        return row.p
    sign = -1.0 if question.limit == "max_drop" else 1.0
    shifted = evidence.comparison.against(
        *figure,
        null=sign * allowed,
        share=sign * margin.amount if margin.relative else None,
        seed=evidence.seed,
        test=question.test,
    )
    return shifted.p if shifted else None


def _ask_timing(
    question: Question,
    figure: Figure,
    margin: Margin,
    evidence: Evidence,
    defaults: Defaults,
) -> list[Finding]:
    """Median and slow end of a timing; judged only where the two were timed in turns."""
    score = evidence.scores[figure]
    direction = None if pd.isna(score["higher_is_better"]) else bool(score["higher_is_better"])
    check = replace(
        _check(question, Verdict.SKIPPED, ""),
        higher_is_better=direction,
        value=_defined(score["value"]),
    )
    rounds = evidence.rounds
    if rounds is None:
        return [_gap(question, "the baseline has nothing to time it with", NO_BASELINE, defaults)]
    if rounds.problem:
        reason = f"values only: {rounds.problem}, or limit it with min or max"
        return [Finding(replace(check, reason=reason))]
    found = [
        _timing_finding(question, margin, check, timing)
        for timing in timing_differences(rounds, figure, direction)
    ]
    return found or [_gap(question, "the rounds have no such timing", INCOMPLETE, defaults)]


def _timing_finding(
    question: Question, margin: Margin, check: Check, timing: TimingDifference
) -> Finding:
    falling = question.limit == "max_drop"
    low, high = timing.interval
    worse = -timing.difference if falling else timing.difference
    excess = worse - margin.of(timing.baseline)
    judged = replace(
        check,
        verdict=Verdict.PASS,
        limit=f"{timing.quantile} {question.label}",
        value=timing.candidate,
        baseline=timing.baseline,
        difference=timing.difference,
        ci_low=low,
        ci_high=high,
        excess=excess,
        n=timing.rounds,
    )
    if excess > 0:
        loss = timing.p(margin, falling)
        return Finding(judged, tested=True, beyond=True, loss_p=loss, deviation=timing.deviation)
    return Finding(judged, tested=True, gain_p=timing.p() if worse < 0 else 1.0)


def _ask_value(
    question: Question,
    figure: Figure,
    bound: float,
    score: pd.Series,
    evidence: Evidence,
    defaults: Defaults,
) -> Finding:
    value = float(score["value"])
    excess = bound - value if question.limit == "min" else value - bound
    direction = score["higher_is_better"]
    check = replace(
        _check(question, Verdict.PASS, ""),
        higher_is_better=None if pd.isna(direction) else bool(direction),
        value=value,
        ci_low=_defined(score["ci_low"]),
        ci_high=_defined(score["ci_high"]),
        excess=excess,
        n=int(score["n"]),
    )
    if excess <= 0:
        return Finding(check, tested=True)
    p, deviation = _value_test(figure, bound, score, evidence)
    if p is None:
        return Finding(_by_interval(check, bound, str(score["aggregation"]), defaults))
    return Finding(check, tested=True, beyond=True, loss_p=p, deviation=deviation)


def _by_interval(check: Check, bound: float, aggregation: str, defaults: Defaults) -> Check:
    """What a value's own interval says of a limit, where it has no test, as a percentile."""
    low, high = check.ci_low, check.ci_high
    shown = f"{number(check.value)} {span(low, high)}"
    if (low is None or high is None) and _PERCENTILE.fullmatch(aggregation):
        reason = f"{number(check.value)}, of too few requests for an interval"
        return undecided(replace(check, reason=reason), defaults)
    if low is None or high is None:
        reason = f"{number(check.value)}, which has no interval to doubt it by"
    elif low <= bound <= high:
        reason = f"{shown}, with the limit in the interval"
        return undecided(replace(check, reason=reason), defaults)
    else:
        reason = f"{shown}, wholly beyond the limit"
    return replace(check, verdict=Verdict.REGRESSED, level="error", reason=reason)


def _value_test(
    figure: Figure, bound: float, score: pd.Series, evidence: Evidence
) -> tuple[float | None, float | None]:
    """P-value of the value being `bound`, and the standard deviation of one sample."""
    task, metric, filter_ = figure
    if pd.notna(score["tasks"]):
        return _suite_test(bound, score)
    aggregation = AGGREGATIONS.get(score["aggregation"])
    if aggregation is None:
        return None, None
    columns = ["filter", "cluster", "statistics"]
    samples = evidence.store.samples(evidence.run_id, task, columns)
    samples = samples[samples["filter"].fillna("none") == filter_]
    kept = [metric in statistics for statistics in samples["statistics"]]
    samples = samples[np.array(kept, dtype=bool)]
    if samples.empty:
        return None, None
    rows = np.array([statistics[metric] for statistics in samples["statistics"]])
    clusters = [None if pd.isna(cluster) else cluster for cluster in samples["cluster"]]
    p = value_p(rows, score["aggregation"], bound, clusters, seed=evidence.seed)
    stderr = _defined(score["stderr"])
    return p, None if stderr is None else stderr * float(np.sqrt(len(rows)))


def _suite_test(bound: float, score: pd.Series) -> tuple[float | None, float | None]:
    """The same of a suite's own figure, by its pooled error."""
    stderr, n = _defined(score["stderr"]), int(score["n"])
    if stderr is None:
        return None, None
    units = n if pd.isna(score["n_clusters"]) else int(score["n_clusters"])
    freedom = max(1, units - int(score["tasks"]))
    return t_p(float(score["value"]) - bound, stderr, freedom), stderr * float(np.sqrt(n))


def _defined(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
