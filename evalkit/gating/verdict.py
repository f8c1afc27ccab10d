"""Verdicts, and what a gate says about each check."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from evalkit.results import Comparison, Manifest


class Verdict(StrEnum):
    """What a check came to."""

    PASS = "pass"  # noqa: S105
    IMPROVED = "improved"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    WAIVED = "waived"
    SKIPPED = "skipped"
    ERROR = "error"


# Worst first: the order of every report.
ORDER = (
    Verdict.REGRESSED,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.WAIVED,
    Verdict.SKIPPED,
    Verdict.PASS,
    Verdict.IMPROVED,
)

Level = Literal["", "warning", "error"]
"""How loudly CI should tell of a check."""

PASSED, REGRESSED, INCOMPLETE, NO_BASELINE, UNDECIDED = 0, 1, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Check:
    """One limit of one rule on one figure, and its verdict.

    Attributes:
        limit: As the rules say it, such as "max_drop 0.01".
        reason: The verdict in words.
        value: The run's value; over the pairs, for a limit that needs a baseline.
        baseline: The baseline's value over the pairs.
        difference: Run less baseline.
        ci_low: Lower end of the 95 % interval of the difference, or of the value.
        ci_high: Upper end of it.
        excess: How far beyond the limit, in the metric's unit; negative where within.
        n: Samples, or pairs.
        p: Two-sided p-value of lying exactly at the limit, or, where improved, of no difference;
            None where the run keeps within the limit.
        p_corrected: The same, corrected for all checks.
        visible_effect: Smallest true difference so many pairs find with 80 % probability.
        n_needed: Samples that would tell, where inconclusive.
        exit_code: What an error or an open question asks the gate to exit with.
        level: How loudly CI should tell of it.
    """

    task: str
    metric: str
    filter: str
    limit: str
    verdict: Verdict
    reason: str
    higher_is_better: bool | None = None
    value: float | None = None
    baseline: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    excess: float | None = None
    n: int | None = None
    p: float | None = None
    p_corrected: float | None = None
    visible_effect: float | None = None
    n_needed: int | None = None
    exit_code: int = 0
    level: Level = ""

    @property
    def name(self) -> str:
        """Metric, filter and limit."""
        filtered = "" if self.filter in ("", "none") else f" ({self.filter})"
        return f"{self.metric}{filtered} {self.limit}".strip()


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate found.

    Attributes:
        run: The run in question; None where it was not finished.
        baseline: The run it was compared with, if any.
        checks: Worst first.
        notes: Sentences on what was not compared.
        problem: Why nothing could be compared, fixed limits aside; empty where it could.
        exit_code: 0 pass, 1 regressed, 3 incomplete, 4 no baseline to compare with, 5 open
            questions where the rules say that these fail.
        command: What reproduces the verdict; empty where there is none.
        alpha: Level of the gate.
        comparison: Behind the checks.
    """

    run: Manifest | None
    baseline: Manifest | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    problem: str
    exit_code: int
    command: str
    alpha: float
    comparison: Comparison | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        """Whether nothing stands in the way."""
        return self.exit_code == PASSED

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        against = f" against {self.baseline.name}" if self.baseline else ""
        name = self.run.name if self.run else "gate"
        counts = [
            f"{sum(check.verdict is verdict for check in self.checks)} {verdict}"
            for verdict in ORDER
            if any(check.verdict is verdict for check in self.checks)
        ]
        if self.problem:
            return "; ".join([f"{name}: {self.problem}", *([", ".join(counts)] if counts else [])])
        word = _OUTCOMES[self.exit_code]
        return f"{name}{against}: {word} ({', '.join(counts) or 'nothing to check'})."

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples, ready for JSON."""
        return {
            "run": self.run and {"run_id": self.run.run_id, "name": self.run.name},
            "baseline": self.baseline
            and {"run_id": self.baseline.run_id, "name": self.baseline.name},
            "passed": self.passed,
            "exit_code": self.exit_code,
            "headline": self.headline,
            "problem": self.problem or None,
            "alpha": self.alpha,
            "checks": [asdict(check) for check in self.checks],
            "notes": list(self.notes),
            "command": self.command,
        }


_OUTCOMES = {
    PASSED: "passed",
    REGRESSED: "REGRESSED",
    INCOMPLETE: "INCOMPLETE",
    NO_BASELINE: "NOT COMPARABLE",
    UNDECIDED: "INCONCLUSIVE",
}
