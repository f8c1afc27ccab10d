"""From questions to verdicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.gating.config import Defaults, Margin
from evalkit.gating.latency import Rounds, timing_differences
from evalkit.gating.selection import Figure, Question
from evalkit.gating.verdict import INCOMPLETE, NO_BASELINE, UNDECIDED, Check, Verdict
from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results import Comparison, Difference, Store
from evalkit.results.comparison import TIMED
from evalkit.results.text import number, p_value, span
from evalkit.stats import benjamini_hochberg, holm, sample_size, value_p
from evalkit.stats.sequential import Side

# Batch size, order and threads move a mean log-likelihood in its fifth digit; a checkpoint against
# itself must pass, however consistent so small a difference is.
NOISE = 1e-4

_CORRECTIONS: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
    "none": list,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything verdicts rest on.

    Attributes:
        store: Where the run lies.
        run_id: The run in question.
        scores: Its scores, by figure.
        comparison: With the baseline, where there is one.
        rounds: In which the two were timed in turns.
        seed: Seed of all resampling.
    """

    store: Store
    run_id: str
    scores: dict[Figure, pd.Series]
    comparison: Comparison | None
    rounds: Rounds | None = None
    seed: int = 0

    @property
    def timed(self) -> set[Figure]:
        """Figures that a clock took."""
        return {figure for figure, score in self.scores.items() if score["unit"] in TIMED}

    def difference(self, figure: Figure) -> Difference | None:
        """The figure's row in the comparison."""
        rows = self.comparison.differences if self.comparison else ()
        return next((row for row in rows if (row.task, row.metric, row.filter) == figure), None)


@dataclass(frozen=True, slots=True)
class _Finding:
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


@dataclass(frozen=True, slots=True)
class Settled:
    """What a sequential gate decided on the way.

    Attributes:
        sides: On which side of its limit a figure lies, by question, and why that is sure.
        alpha: What is left of the level for the questions that stayed open to the end.
        note: How many samples it took.
    """

    sides: Mapping[Question, tuple[Side, str]]
    alpha: float
    note: str


def decide(
    questions: Sequence[Question],
    evidence: Evidence,
    defaults: Defaults,
    settled: Settled | None = None,
) -> list[Check]:
    """Answer every question; the level is shared by all that were tested.

    Args:
        questions: From `evalkit.gating.selection.questions`.
        evidence: What is known of the run.
        defaults: Level, correction, and what follows from gaps and open questions.
        settled: Questions that are answered already; they count in the correction of the others.
    """
    if settled is not None:
        defaults = defaults.model_copy(update={"alpha": settled.alpha})
    found = [
        finding
        for question in questions
        for finding in (
            _ask_timing(question, question.figure, question.bound, evidence, defaults)
            if question.figure in evidence.timed and isinstance(question.bound, Margin)
            else [_settle(_ask(question, evidence, defaults), question, settled)]
        )
    ]
    tested = [finding for finding in found if finding.tested]
    correct = _CORRECTIONS[defaults.correction]
    losses = iter(correct([finding.loss_p for finding in tested]))
    gains = iter(correct([finding.gain_p for finding in tested]))
    return [
        _conclude(finding, next(losses), next(gains), defaults) if finding.tested else finding.check
        for finding in found
    ]


def _settle(finding: _Finding, question: Question, settled: Settled | None) -> _Finding:
    """The finding with the verdict that was reached on the way, if any."""
    if settled is None or question not in settled.sides or not finding.tested:
        return finding
    side, why = settled.sides[question]
    better = isinstance(question.bound, Margin) and question.bound.amount == 0
    within = Verdict.IMPROVED if better else Verdict.PASS
    check = replace(
        finding.check,
        verdict=Verdict.REGRESSED if side is Side.BEYOND else within,
        reason=why,
        # An interval for a fixed number of samples means nothing where stopping was a choice.
        ci_low=None,
        ci_high=None,
        visible_effect=None,
    )
    return replace(finding, check=check, loss_p=1.0, gain_p=1.0, settled=True)


def _ask(question: Question, evidence: Evidence, defaults: Defaults) -> _Finding:
    if question.figure is None:
        return _gap(question, question.missing, INCOMPLETE, defaults)
    score = evidence.scores[question.figure]
    if pd.isna(score["value"]):
        return _gap(question, "undefined in the run", INCOMPLETE, defaults)
    if isinstance(question.bound, Margin):
        return _ask_difference(question, question.figure, question.bound, evidence, defaults)
    return _ask_value(question, question.figure, float(question.bound), score, evidence)


def _check(question: Question, verdict: Verdict, reason: str) -> Check:
    task, metric, filter_ = question.figure or (question.task, "", "")
    return Check(task, metric, filter_, question.label, verdict, reason)


def _gap(question: Question, reason: str, exit_code: int, defaults: Defaults) -> _Finding:
    if defaults.on_missing == "fail":
        check = _check(question, Verdict.ERROR, reason)
        return _Finding(replace(check, exit_code=exit_code))
    return _Finding(_check(question, Verdict.SKIPPED, reason))


def _ask_difference(
    question: Question, figure: Figure, margin: Margin, evidence: Evidence, defaults: Defaults
) -> _Finding:
    row = evidence.difference(figure)
    if row is None:
        return _gap(question, "the baseline has nothing to pair it with", NO_BASELINE, defaults)
    if row.difference is None or row.baseline is None:
        return _gap(question, "undefined over the pairs", NO_BASELINE, defaults)
    falling = question.limit == "max_drop"
    worse = -row.difference if falling else row.difference
    allowed = margin.of(row.baseline)
    check = replace(
        _check(question, Verdict.PASS, ""),
        higher_is_better=row.higher_is_better,
        value=row.candidate,
        baseline=row.baseline,
        difference=row.difference,
        ci_low=row.ci_low,
        ci_high=row.ci_high,
        excess=worse - allowed,
        n=row.n,
        visible_effect=row.visible_effect,
    )
    if row.wins is None:
        reason = f"{row.note}; limit it with min or max"
        return _Finding(replace(check, verdict=Verdict.SKIPPED, reason=reason))
    if row.p is None or evidence.comparison is None:
        reason = f"{row.n} pairs are too few to test"
        return _Finding(_undecided(replace(check, reason=reason), defaults))
    noise = 0.0 if row.test == "mcnemar" else NOISE * abs(row.baseline)
    deviation = None if row.stderr is None else row.stderr * float(np.sqrt(row.n))
    if worse - allowed <= noise:
        better = row.higher_is_better is not None and -worse > noise
        return _Finding(check, tested=True, gain_p=row.p if better else 1.0)
    p: float | None = row.p
    if allowed > 0 or question.test != "auto":
        null = -allowed if falling else allowed
        shifted = evidence.comparison.against(
            *figure, null=null, seed=evidence.seed, test=question.test
        )
        p = shifted.p if shifted else None
    if p is None:
        reason = "the resamples were mostly undefined"
        return _Finding(_undecided(replace(check, reason=reason), defaults))
    return _Finding(check, tested=True, beyond=True, loss_p=p, deviation=deviation)


def _ask_timing(
    question: Question,
    figure: Figure,
    margin: Margin,
    evidence: Evidence,
    defaults: Defaults,
) -> list[_Finding]:
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
        return [_Finding(replace(check, reason=reason))]
    found = []
    for timing in timing_differences(rounds, figure, direction):
        low, high = timing.interval
        worse = -timing.difference if question.limit == "max_drop" else timing.difference
        allowed = margin.of(timing.baseline)
        judged = replace(
            check,
            verdict=Verdict.PASS,
            limit=f"{timing.quantile} {question.label}",
            value=timing.candidate,
            baseline=timing.baseline,
            difference=timing.difference,
            ci_low=low,
            ci_high=high,
            excess=worse - allowed,
            n=timing.rounds,
        )
        null = -allowed if question.limit == "max_drop" else allowed
        beyond = worse > allowed
        gain = timing.p(0.0) if worse < 0 else 1.0
        loss = timing.p(null) if beyond else 1.0
        deviation = timing.stderr * timing.rounds**0.5
        found.append(_Finding(judged, True, beyond, loss, 1.0 if beyond else gain, deviation))
    return found or [_gap(question, "the rounds have no such timing", INCOMPLETE, defaults)]


def _ask_value(
    question: Question, figure: Figure, bound: float, score: pd.Series, evidence: Evidence
) -> _Finding:
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
        return _Finding(check, tested=True)
    p, deviation = _value_test(figure, bound, score, evidence)
    if p is None:
        reason = f"{number(value)}, which has no interval to doubt it by"
        return _Finding(replace(check, verdict=Verdict.REGRESSED, reason=reason))
    return _Finding(check, tested=True, beyond=True, loss_p=p, deviation=deviation)


def _value_test(
    figure: Figure, bound: float, score: pd.Series, evidence: Evidence
) -> tuple[float | None, float | None]:
    """P-value of the value being `bound`, and the standard deviation of one sample."""
    task, metric, filter_ = figure
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


def _conclude(finding: _Finding, loss_p: float, gain_p: float, defaults: Defaults) -> Check:
    """The verdict of a tested check, from its corrected p-values."""
    if finding.settled:
        return finding.check
    if finding.beyond:
        check = replace(finding.check, p=finding.loss_p, p_corrected=loss_p)
        if loss_p < defaults.alpha:
            return replace(check, verdict=Verdict.REGRESSED, reason=_measured(check))
        needed = _needed(check, finding.deviation, defaults.alpha)
        return _undecided(replace(check, reason=_measured(check), n_needed=needed), defaults)
    if gain_p < defaults.alpha:
        check = replace(finding.check, p=finding.gain_p, p_corrected=gain_p)
        return replace(check, verdict=Verdict.IMPROVED, reason=_measured(check))
    return replace(finding.check, reason=f"{_measured(finding.check)}, {_room(finding.check)}")


def _undecided(check: Check, defaults: Defaults) -> Check:
    needed = "" if check.n_needed is None else f"; about {check.n_needed:,} samples would tell"
    return replace(
        check,
        verdict=Verdict.INCONCLUSIVE,
        reason=check.reason + needed,
        exit_code=UNDECIDED if defaults.on_inconclusive == "fail" else 0,
    )


def _needed(check: Check, deviation: float | None, alpha: float) -> int | None:
    """Samples that would show an excess as large as the observed one, at the corrected level."""
    if not deviation or not check.excess or not check.p or not check.p_corrected or not check.n:
        return None
    needed = sample_size(check.excess, deviation, alpha * check.p / check.p_corrected)
    return None if needed is None else max(needed, check.n + 1)


def _measured(check: Check) -> str:
    """The difference, or else the value, with interval and p."""
    paired = check.difference is not None
    words = [number(check.difference if paired else check.value, sign=paired)]
    if interval := span(check.ci_low, check.ci_high):
        words.append(interval)
    tested = "" if check.p_corrected is None else f", p {p_value(check.p_corrected)}"
    return " ".join(words) + tested


def _room(check: Check) -> str:
    if check.difference is None:
        return "within the limit"
    seen = "" if check.visible_effect is None else f"; could see {number(check.visible_effect)}"
    return f"within the margin{seen}"


def _defined(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
