"""Averages over tasks, with an error of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy

from evalkit.stats.intervals import t_interval


@dataclass(frozen=True, slots=True)
class MacroAverage:
    """A mean over tasks that count alike.

    Attributes:
        value: In the tasks' common unit.
        stderr: Standard error of the value, from the samples within each task.
        ci_low: Lower end of the 95 % interval; None where it has no error.
        ci_high: Upper end of it.
        p: Two-sided p-value of the true mean being 0; None where it has no error.
        tasks: Tasks averaged.
    """

    value: float
    stderr: float
    ci_low: float | None
    ci_high: float | None
    p: float | None
    tasks: int


def macro_average(
    values: Sequence[float],
    stderrs: Sequence[float],
    units: Sequence[int],
    confidence: float = 0.95,
) -> MacroAverage | None:
    """Mean of independent tasks' values; the tasks are taken as given, their samples as drawn.

    Args:
        values: One a task: scores, or differences of two runs.
        stderrs: Standard error of each.
        units: Independent samples, or clusters, behind each; at least 2.
        confidence: Share of such intervals that should hold the true value.

    Returns:
        None for no task.

    Source: errors of independent means add in squares; degrees of freedom by Satterthwaite 1946 and
    Welch 1947.
    """
    count = len(values)
    if count == 0:
        return None
    value = sum(values) / count
    parts = [stderr**2 / count**2 for stderr in stderrs]
    variance = sum(parts)
    if variance == 0:
        return MacroAverage(value, 0.0, None, None, None, count)
    spread = sum(part**2 / (n - 1) for part, n in zip(parts, units, strict=True))
    freedom = variance**2 / spread
    stderr = math.sqrt(variance)
    low, high = t_interval(value, stderr, freedom, confidence)
    p = 2 * float(scipy.special.stdtr(freedom, -abs(value) / stderr))
    return MacroAverage(value, stderr, low, high, max(p, 1e-300), count)
