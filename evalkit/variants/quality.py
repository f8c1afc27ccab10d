"""What a variant lost, task by task, and whether that is more than the margin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from evalkit.results import Comparison, macro_difference
from evalkit.results.difference import ALPHA, Difference
from evalkit.results.macro import is_share, primary_differences
from evalkit.results.text import number
from evalkit.stats import holm, sample_size, tango_p
from evalkit.variants.speed import Figure


class Loss(StrEnum):
    """What is known of a task's loss."""

    NONE = "none"
    """It is shown to be smaller than the margin."""
    REGRESSED = "regressed"
    """It is shown to be larger."""
    OPEN = "open"
    """So many samples cannot tell."""


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """One task of one variant.

    Attributes:
        row: The difference of its primary metric.
        margin: In the metric's own unit.
        p: Two-sided p-value of the loss being exactly the margin, corrected over all tasks and
            variants; None where it could not be tested.
        needed: Samples that would tell, where they are known.
        is_relative: Whether the margin is a share of the original's value, which is uncertain too.
    """

    row: Difference
    margin: float
    p: float | None
    needed: int | None = None
    is_relative: bool = False

    @property
    def excess(self) -> float:
        """Loss less margin; negative where within."""
        return -(self.row.gain or 0.0) - self.margin

    @property
    def loss(self) -> Loss:
        """What is known."""
        if self.p is None or self.p >= ALPHA:
            return Loss.OPEN
        return Loss.REGRESSED if self.excess > 0 else Loss.NONE


def losses(comparisons: Sequence[Comparison], margin: float, seed: int) -> list[list[TaskLoss]]:
    """Hold each variant to the margin, all tasks of all variants corrected together (Holm).

    Args:
        comparisons: Each variant against the original.
        margin: For shares as it is, for other metrics as a share of the original's value.
        seed: Of resampling.
    """
    found = [
        [
            _tested(comparison, row, margin, seed)
            for row in primary_differences(comparison)
            if row.gain is not None
        ]
        for comparison in comparisons
    ]
    tested = [loss for rows in found for loss in rows if loss.p is not None]
    corrected = iter(holm([loss.p or 0.0 for loss in tested]))
    return [
        [loss if loss.p is None else _corrected(loss, next(corrected)) for loss in rows]
        for rows in found
    ]


def quality_of(comparison: Comparison, rows: Sequence[TaskLoss]) -> Figure | None:
    """One figure: the mean difference of the tasks that are shares, or the only task's gain."""
    average = macro_difference(comparison)
    if average is not None:
        return Figure(average.value, average.ci_low, average.ci_high)
    if len(rows) != 1:
        return None
    row = rows[0].row
    if row.higher_is_better:
        return Figure(row.gain or 0.0, row.ci_low, row.ci_high)
    ends = (None if end is None else -end for end in (row.ci_high, row.ci_low))
    return Figure(row.gain or 0.0, *ends)


def verdict(rows: Sequence[TaskLoss], margin: float) -> str:
    """What the losses come to, as half a sentence."""
    if not rows:
        return "no task could be compared"
    beyond = [loss for loss in rows if loss.loss is Loss.REGRESSED]
    if beyond:
        told = ", ".join(f"{r.row.task} {number(r.row.difference, sign=True)}" for r in beyond)
        return f"regressed beyond {margin:g}: {told}"
    undecided = [loss for loss in rows if loss.loss is Loss.OPEN]
    if not undecided:
        return f"no task regressed beyond {margin:g}"
    words = f"no task is shown to have regressed beyond {margin:g}, but"
    words += f" {len(undecided)} of {len(rows)} cannot be told"
    needed = [loss.needed for loss in undecided]
    known = [count for count in needed if count is not None]
    if not known:
        return words
    of_these = "" if len(known) == len(needed) else f" tell {len(known)} of them"
    return f"{words} (about {max(known):,} samples would{of_these})"


def _tested(comparison: Comparison, row: Difference, margin: float, seed: int) -> TaskLoss:
    share = None if is_share(comparison, row) else margin
    own = margin if share is None else margin * abs(row.baseline or 0.0)
    sign = -1 if row.higher_is_better else 1
    if row.stderr is None or not own:
        return TaskLoss(row, own, None)
    found = comparison.against(
        row.task, row.metric, row.filter, sign * own, share and sign * share, seed
    )
    p = None if found is None else found.p
    return TaskLoss(row, own, p, is_relative=share is not None)


def _corrected(loss: TaskLoss, p: float) -> TaskLoss:
    """With the p-value after correction, and the samples that would make it small."""
    row = loss.row
    needed = None
    if p >= ALPHA and loss.p and not loss.is_relative:
        level = ALPHA * loss.p / p
        if row.stderr:
            needed = sample_size(loss.excess, row.stderr * row.n**0.5, level)
        elif row.test == "mcnemar":
            needed = _of_equal_answers(loss.margin, level)
    return replace(loss, p=p, needed=needed and max(needed, row.n + 1))


def _of_equal_answers(margin: float, level: float) -> int | None:
    """So many answers, all of them equal, show that the loss is below the margin."""
    sizes = (round(1.1**power) for power in range(20, 250))
    return next((n for n in sizes if tango_p(0, 0, n, -margin) < level), None)
