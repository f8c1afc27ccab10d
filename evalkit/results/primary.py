"""Which of a task's metrics stands for the task where only one can be shown.

A leaderboard cell, a plot or a rule without a metric means the task's *primary* figure. It is
decided here and nowhere else: the first metric of `PREFERENCE` that the task reports, else
the first it lists; then the first filter of `FILTERS`, else the first it lists. Normalised accuracy
comes before raw because answers differ in length; a task has one primary figure in all runs, so the
two never share a column. Whether more is better is the score's own `higher_is_better`.
"""

from collections.abc import Sequence

PREFERENCE = (
    "acc_norm",
    "acc",
    "exact_match",
    "exact",
    "em",
    "pass@1",
    "f1",
    "mcc",
    "bleu",
    "chrf",
    "rougeL",
    "rouge1",
    "word_perplexity",
    "perplexity",
    "bits_per_byte",
    "byte_perplexity",
    "pct_stereotype",
)
FILTERS = ("none", "strict-match")


def primary_metric(figures: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The (metric, filter) that stands for a task, from those it reports, in its own order.

    Raises:
        ValueError: There are none.
    """
    metric = _first([metric for metric, _ in figures], PREFERENCE)
    return metric, _first([filter_ for name, filter_ in figures if name == metric], FILTERS)


def _first(present: Sequence[str], preferred: Sequence[str]) -> str:
    if not present:
        raise ValueError("a task without figures has no primary one")
    return next((name for name in preferred if name in present), present[0])
