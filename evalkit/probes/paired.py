"""Intervals of figures that are differences within a document."""

from collections.abc import Sequence
from dataclasses import replace

from evalkit.stats import compare_pairs
from evalkit.types import Sample, Score


def paired_score(score: Score, samples: Sequence[Sample], first: str, second: str) -> Score:
    """A mean difference with the interval of a paired comparison.

    Taken alone, differences of right and wrong that happen to be 0 and 1 look like shares, and
    would get the interval of a share, which ends at 0.

    Args:
        score: The mean of second less first.
        samples: Of the task; those without both metrics are left out.
        first: Metric that is subtracted.
        second: Metric it is subtracted from.
    """
    both = [s for s in samples if first in s.statistics and second in s.statistics]
    found = compare_pairs(
        [sample.statistics[first] for sample in both],
        [sample.statistics[second] for sample in both],
        "mean",
        [sample.document.cluster for sample in both],
    )
    return replace(
        score,
        stderr=found.stderr,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        interval=None if found.test is None else f"paired, {found.test}",
    )
