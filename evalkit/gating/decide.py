"""From questions to verdicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.gating.config import Defaults, Margin
from evalkit.gating.evidence import Evidence
from evalkit.gating.finding import Finding, ask, undecided
from evalkit.gating.selection import Question
from evalkit.gating.verdict import Check, Verdict
from evalkit.results.text import number, p_value, span
from evalkit.stats import benjamini_hochberg, holm, sample_size
from evalkit.stats.sequential import Side

_CORRECTIONS: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
    "none": list,
}


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
        _settle(finding, question, settled)
        for question in questions
        for finding in ask(question, evidence, defaults)
    ]
    tested = [finding for finding in found if finding.tested]
    correct = _CORRECTIONS[defaults.correction]
    losses = iter(correct([finding.loss_p for finding in tested]))
    gains = iter(correct([finding.gain_p for finding in tested]))
    return [
        _conclude(finding, next(losses), next(gains), defaults) if finding.tested else finding.check
        for finding in found
    ]


def _settle(finding: Finding, question: Question, settled: Settled | None) -> Finding:
    """The finding with the verdict that was reached on the way, if any."""
    if settled is None or question not in settled.sides or not finding.tested:
        return finding
    side, why = settled.sides[question]
    better = isinstance(question.bound, Margin) and question.bound.amount == 0
    within = Verdict.IMPROVED if better else Verdict.PASS
    check = replace(
        finding.check,
        verdict=Verdict.REGRESSED if side is Side.BEYOND else within,
        level="error" if side is Side.BEYOND else "",
        reason=why,
        # An interval for a fixed number of samples means nothing where stopping was a choice.
        ci_low=None,
        ci_high=None,
        visible_effect=None,
    )
    return replace(finding, check=check, loss_p=1.0, gain_p=1.0, settled=True)


def _conclude(finding: Finding, loss_p: float, gain_p: float, defaults: Defaults) -> Check:
    """The verdict of a tested check, from its corrected p-values."""
    if finding.settled:
        return finding.check
    if finding.beyond:
        check = replace(finding.check, p=finding.loss_p, p_corrected=loss_p)
        if loss_p < defaults.alpha:
            return replace(check, verdict=Verdict.REGRESSED, level="error", reason=_measured(check))
        needed = _needed(check, finding.deviation, defaults.alpha)
        return undecided(replace(check, reason=_measured(check), n_needed=needed), defaults)
    if gain_p < defaults.alpha:
        check = replace(finding.check, p=finding.gain_p, p_corrected=gain_p)
        return replace(check, verdict=Verdict.IMPROVED, reason=_measured(check))
    return replace(finding.check, reason=f"{_measured(finding.check)}, {_room(finding.check)}")


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
