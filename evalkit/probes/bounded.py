"""Intervals of figures that have bounds without being counts: shares, and times and rates."""

from dataclasses import replace

from evalkit.stats import bounded_interval
from evalkit.types import Score

_STUDENTS = {"t": "bounded wilson", "cluster t": "bounded cluster wilson"}
"""Methods of intervals that know no bounds, and what takes their place."""


def bounded_score(score: Score) -> Score:
    """The score with an interval inside 0 and 1, where Student's may cross them or vanish."""
    if score.value is None or score.stderr is None or score.interval not in _STUDENTS:
        return score
    low, high = bounded_interval(score.value, score.stderr, score.n, score.n_clusters)
    return replace(score, ci_low=low, ci_high=high, interval=_STUDENTS[score.interval])


def above_zero(score: Score) -> Score:
    """The score with its interval cut at 0: Student's does not know that times end there."""
    return score if score.ci_low is None else replace(score, ci_low=max(score.ci_low, 0.0))
