"""Forgetting: what a fine-tuned checkpoint lost against its parent, by family."""

from dataclasses import asdict, dataclass
from typing import Any

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results import Comparison, Difference, primary_metric
from evalkit.stats import MacroAverage, macro_average


@dataclass(frozen=True, slots=True)
class FamilyChange:
    """What became of one family of tasks.

    Attributes:
        family: Kind of task.
        tasks: The primary figure of each, child less parent, paired sample by sample.
        average: Mean gain over those of its tasks that are shares; None where there is none.
    """

    family: str
    tasks: tuple[Difference, ...]
    average: MacroAverage | None

    @property
    def lost(self) -> tuple[Difference, ...]:
        """Tasks that got significantly worse, all tests of the comparison taken together."""
        return tuple(row for row in self.tasks if row.significant() and (row.gain or 0) < 0)


def by_family(comparison: Comparison) -> list[FamilyChange]:
    """The changes from parent (the baseline) to child, the family that lost most first.

    Families without a share, such as perplexities, come last; timed tasks are left out.
    """
    families: dict[str, list[Difference]] = {}
    for row in _primaries(comparison):
        family = comparison.candidate.tasks[row.task].family
        families.setdefault(family, []).append(row)
    found = [
        FamilyChange(family, tuple(rows), _average(comparison, rows))
        for family, rows in families.items()
    ]
    return sorted(found, key=lambda each: each.average.value if each.average else float("inf"))


def to_dict(changes: list[FamilyChange]) -> list[dict[str, Any]]:
    """The changes, ready for JSON."""
    return [{**asdict(each), "lost": [row.task for row in each.lost]} for each in changes]


def _primaries(comparison: Comparison) -> list[Difference]:
    """The primary figure of each task; none where it was not tested."""
    found = []
    for task in dict.fromkeys(row.task for row in comparison.differences):
        rows = [row for row in comparison.differences if row.task == task and row.n]
        figures = [(row.metric, row.filter) for row in rows if not row.note.startswith("values")]
        if figures:
            chosen = primary_metric(figures)
            found.append(next(row for row in rows if (row.metric, row.filter) == chosen))
    return found


def _average(comparison: Comparison, rows: list[Difference]) -> MacroAverage | None:
    shares = [row for row in rows if _is_share(comparison, row)]
    return macro_average(
        [row.gain or 0.0 for row in shares],
        [row.stderr or 0.0 for row in shares],
        [row.n_clusters or row.n for row in shares],
    )


def _is_share(comparison: Comparison, row: Difference) -> bool:
    name = comparison.aggregations.get((row.task, row.metric, row.filter), "")
    aggregation = AGGREGATIONS.get(name)
    known = row.gain is not None and row.stderr is not None
    return known and not row.unit and aggregation is not None and aggregation.is_mean
