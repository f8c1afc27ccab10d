"""What people said of the same texts, and how far a judge agrees with them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.errors import DataError
from evalkit.probes.rows import read_rows
from evalkit.stats import PairedEstimate, compare_pairs
from evalkit.stats.bootstrap import percentile_interval, resampled_sums
from evalkit.types import Score

_DRAWS = 2000
_BOUNDS = {True: (1.0, 5.0), False: (0.0, 1.0)}
"""Lowest and highest label, by whether labels are ratings."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Human labels of one task's documents.

    Attributes:
        by_document: doc_id -> label: 1 to 5 for a rubric; 1, 0.5 or 0 for win, tie or loss.
    """

    by_document: Mapping[int, float]


_WORDS = {"win": 1.0, "tie": 0.5, "loss": 0.0}


def read_labels(file: Path, task: str, pairwise: bool, is_only: bool = True) -> Labels:
    """Labels of a task from JSON lines of `doc_id`, `label` and, where there are several, `task`.

    Args:
        file: The labels.
        task: The task.
        pairwise: Whether labels are win, tie or loss rather than ratings.
        is_only: Whether no other task is judged, so that a label need not say its own.

    Raises:
        DataError: The file cannot be read, or a label is none or of no task.
    """
    found = {}
    for number, row in enumerate(read_rows(file, ["doc_id", "label"]), 1):
        if not is_only and "task" not in row:
            raise DataError(
                f"{file}, row {number}: it names no task, and texts of several are judged; add "
                "task to each row, or judge one with --task."
            )
        if row.get("task", task) != task:
            continue
        label = _WORDS.get(str(row["label"])) if pairwise else row["label"]
        is_rating = pairwise or (isinstance(label, int) and 1 <= label <= 5)
        if label is None or not is_rating or not isinstance(row["doc_id"], int):
            wanted = "win, tie or loss" if pairwise else "a whole number from 1 to 5"
            raise DataError(f"{file}, row {number}: a label is {wanted}, and doc_id a number.")
        found[row["doc_id"]] = float(label)
    if not found:
        raise DataError(f"{file} has no label of the task {task}.")
    return Labels(found)


def kappa(human: Sequence[float], judge: Sequence[float], is_rating: bool) -> float | None:
    """Cohen's kappa; quadratic weights for ratings. None where neither side ever differs.

    Source: Cohen 1960, 1968; scikit-learn's `cohen_kappa_score`.
    """
    from sklearn.metrics import cohen_kappa_score

    labels = sorted({*human, *judge})
    if len(labels) < 2:
        return None
    places = [[labels.index(value) for value in side] for side in (human, judge)]
    value = float(cohen_kappa_score(*places, weights="quadratic" if is_rating else None))
    return value if math.isfinite(value) else None


def with_agreement(
    score: Score, judged: Mapping[int, float], labels: Labels, is_rating: bool, seed: int = 0
) -> list[Score]:
    """A judge's score followed by what human labels make of it.

    `kappa` is the agreement, resampled over labelled documents. `METRIC_corrected` is the judge's
    mean moved by how far people and judge are apart where both spoke; its interval holds what that
    leaves open besides the sampling of documents, so a judge who agrees badly, or was checked on
    few documents, gets a wide one.

    Args:
        score: The judge's, over all documents.
        judged: doc_id -> the judge's own label.
        labels: Of people.
        is_rating: Whether labels are ratings, weighed by their distance.
        seed: Of the resampling.

    Source of the correction: Angelopoulos et al. 2023, "Prediction-powered inference", for a mean.
    """
    both = [doc_id for doc_id in judged if doc_id in labels.by_document]
    if not both:
        return [score]
    human = [labels.by_document[doc_id] for doc_id in both]
    judge = [judged[doc_id] for doc_id in both]
    low, high = _kappa_interval(human, judge, is_rating, seed) or (None, None)
    agreement = Score(
        task=score.task,
        metric="kappa",
        filter=score.filter,
        value=kappa(human, judge, is_rating),
        stderr=None,
        ci_low=low,
        ci_high=high,
        n=len(both),
        higher_is_better=True,
        interval="bootstrap",
        aggregation="custom",
        family=score.family,
    )
    said, true = ([(label,) for label in side] for side in (judge, human))
    errors = compare_pairs(said, true, "mean")
    return [score, agreement, _corrected(score, errors, _BOUNDS[is_rating])]


def _corrected(score: Score, errors: PairedEstimate, bounds: tuple[float, float]) -> Score:
    """The judge's mean plus the mean error of its labels, their half-widths added in squares."""
    corrected = replace(score, metric=f"{score.metric}_corrected", aggregation="custom")
    if (
        score.value is None
        or score.ci_low is None
        or score.ci_high is None
        or errors.difference is None
        or errors.ci_low is None
        or errors.ci_high is None
    ):
        note = "too few human labels to correct with"
        empty = replace(corrected, value=None, stderr=None, ci_low=None, ci_high=None)
        return replace(empty, interval=None, note=note)
    value = score.value + errors.difference
    low = value - math.hypot(score.value - score.ci_low, errors.difference - errors.ci_low)
    high = value + math.hypot(score.ci_high - score.value, errors.ci_high - errors.difference)
    value, low, high = (min(bounds[1], max(bounds[0], end)) for end in (value, low, high))
    return replace(
        corrected,
        value=value,
        stderr=math.hypot(score.stderr or 0.0, errors.stderr or 0.0),
        ci_low=low,
        ci_high=high,
        interval=f"{score.interval} and {errors.n} human labels",
    )


def _kappa_interval(
    human: Sequence[float], judge: Sequence[float], is_rating: bool, seed: int
) -> tuple[float, float] | None:
    """Percentile bootstrap over documents, by the sums of the table of labels."""
    labels = sorted({*human, *judge})
    size = len(labels)
    cells = np.zeros((len(human), size * size))
    for row, (a, b) in enumerate(zip(human, judge, strict=True)):
        cells[row, labels.index(a) * size + labels.index(b)] = 1
    if len(human) < 2 or size < 2:
        return None
    tables = resampled_sums(cells, seed, _DRAWS).reshape(-1, size, size) / len(human)
    places = np.arange(size)
    apart = (places[:, None] - places) ** 2 if is_rating else (places[:, None] != places)
    observed = (tables * apart).sum(axis=(1, 2))
    expected = np.einsum("di,dj,ij->d", tables.sum(axis=2), tables.sum(axis=1), apart)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = 1 - observed / expected
    return percentile_interval(values, len(human))
