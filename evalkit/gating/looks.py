"""One look of a sequential gate at one question."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.gating.config import Margin
from evalkit.gating.finding import NOISE
from evalkit.gating.selection import Figure, Question
from evalkit.metrics.aggregation import AGGREGATIONS, Aggregation
from evalkit.stats.jackknife import jackknife
from evalkit.stats.sequential import Side, asymptotic_side, bounded_side
from evalkit.stats.units import Codes, cluster_codes, unit_sums
from evalkit.types import Sample

Array = NDArray[np.float64]
# Shares by definition; of other means only those of right and wrong are known to be bounded.
_GRADED = ("acc", "exact", "em", "f1", "rouge", "pass@")


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at a look.

    Attributes:
        samples: Of one task and filter, in the order they were drawn.
        baseline: Statistics of the baseline's samples, by filter, document and prompt hash.
        largest: Documents of the task's largest family.
        units: Families (single documents, where they stand alone) of the task in all.
    """

    samples: Sequence[Sample]
    baseline: Mapping[tuple[str, str, str], Mapping[str, Any]]
    largest: int
    units: int


def look(
    question: Question, aggregation: str, seen: Look, alpha: float, beta: float
) -> tuple[Side, str] | None:
    """The side of its limit a question's figure surely lies on, and why; None while it is open.

    Means of values between 0 and 1 are decided by betting, other metrics by an asymptotic
    confidence sequence on their jackknife.

    Args:
        question: With a figure.
        aggregation: Of the figure's metric.
        seen: Samples so far.
        alpha: Chance of ever deciding wrongly that the figure is beyond its limit.
        beta: Chance of ever deciding wrongly that it is within.
    """
    how = AGGREGATIONS.get(aggregation)
    if how is None:
        return None
    rows = _rows(question, how, seen)
    if len(rows.new) == 0:
        return None
    if how.is_mean and _is_bounded(question.figure, np.concatenate([rows.new, rows.old])):
        side = _bounded(question, rows, seen, alpha, beta)
        method = "decided by betting e-values"
    else:
        side = _asymptotic(question, how, rows, seen, alpha, beta)
        method = "decided by a confidence sequence"
    return None if side is None else (side, method)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Statistics of run and baseline, row by row, shape (n, size), and the family of each row."""

    new: Array
    old: Array
    codes: Codes | None


def _is_bounded(figure: Figure | None, values: Array) -> bool:
    """Whether a metric's values lie between 0 and 1 by its nature, not just so far."""
    graded = figure is not None and figure[1].startswith(_GRADED)
    inside = ((values >= 0) & (values <= 1)).all()
    return bool(np.isin(values, (0.0, 1.0)).all() or (graded and inside))


def _rows(question: Question, how: Aggregation, seen: Look) -> _Rows:
    assert question.figure is not None  # noqa: S101
    paired, metric = isinstance(question.bound, Margin), question.figure[1]
    new, old, families = [], [], []
    for sample in seen.samples:
        document = sample.document
        numbers = sample.statistics.get(metric)
        key = (sample.filter, document.doc_hash, document.prompt_hash)
        partner = (seen.baseline.get(key) or {}).get(metric) if paired else numbers
        if numbers is None or partner is None or not len(numbers) == len(partner) == how.size:
            continue
        new.append(numbers)
        old.append(partner)
        families.append(document.cluster)
    shape = (len(new), how.size)
    return _Rows(
        np.reshape(np.array(new, float), shape),
        np.reshape(np.array(old, float), shape),
        cluster_codes(families),
    )


def _excess(question: Question, value: Array, base: Array) -> Array:
    """How far values lie beyond the question's limit; `base` is the baseline's."""
    bound = question.bound
    if not isinstance(bound, Margin):
        return bound - value if question.limit == "min" else value - bound
    worse = base - value if question.limit == "max_drop" else value - base
    return worse - (bound.amount * np.abs(base) if bound.relative else bound.amount)


def _bounded(question: Question, rows: _Rows, seen: Look, alpha: float, beta: float) -> Side | None:
    bound = question.bound
    if isinstance(bound, Margin):
        lowest, highest = -1.0 - bound.amount, 1.0 - (0.0 if bound.relative else bound.amount)
    else:
        sign = -1.0 if question.limit == "min" else 1.0
        lowest, highest = sorted((sign * (0.0 - bound), sign * (1.0 - bound)))
    if lowest >= 0 or highest <= 0:
        return None
    excess = _excess(question, rows.new, rows.old)
    units = unit_sums(excess, rows.codes)[0][:, 0] / (1 if rows.codes is None else seen.largest)
    return bounded_side(units, lowest, highest, alpha, beta)


def _asymptotic(
    question: Question, how: Aggregation, rows: _Rows, seen: Look, alpha: float, beta: float
) -> Side | None:
    k = how.size
    sums, sizes = unit_sums(np.column_stack([rows.new, rows.old]), rows.codes)
    total, n = sums.sum(axis=0), sizes.sum()
    if len(sums) < 2:
        return None

    def excess(parts: Array, counts: Array) -> Array:
        value, base = how.value(parts[..., :k], counts), how.value(parts[..., k:], counts)
        return _excess(question, value, base)

    value = float(excess(total, np.array(n)))
    without = excess(total - sums, n - sizes)
    if not math.isfinite(value) or not np.isfinite(without).all():
        return None
    estimate, deviation = jackknife(without, value)
    noise = NOISE * abs(float(how.value(total[k:], np.array(n))))
    side = asymptotic_side(estimate, deviation, len(sums), seen.units, alpha, beta)
    # Batch size and order move a log-likelihood in its last digits, all one way perhaps.
    return None if side is Side.BEYOND and estimate <= noise else side
