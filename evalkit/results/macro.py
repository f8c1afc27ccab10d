"""One figure for a whole comparison: the mean difference over tasks that count alike."""

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.comparison import Comparison
from evalkit.results.difference import Difference
from evalkit.results.primary import primary_metric
from evalkit.stats import MacroAverage, macro_average


def macro_difference(comparison: Comparison) -> MacroAverage | None:
    """Mean of the tasks' differences, each by its primary metric, with its own error.

    Only shares where higher is better are averaged; a perplexity and an accuracy have no mean.
    None where fewer than two tasks have such a figure.
    """
    rows = [row for row in primary_differences(comparison) if is_share(comparison, row)]
    if len(rows) < 2:
        return None
    return macro_average(
        [row.difference or 0.0 for row in rows],
        [row.stderr or 0.0 for row in rows],
        [row.n_clusters or row.n for row in rows],
    )


def primary_differences(comparison: Comparison) -> list[Difference]:
    """The difference of each task's primary metric."""
    found = []
    for task in dict.fromkeys(row.task for row in comparison.differences):
        rows = [row for row in comparison.differences if row.task == task]
        metric = primary_metric([(row.metric, row.filter) for row in rows])
        found.append(next(row for row in rows if (row.metric, row.filter) == metric))
    return found


def is_share(comparison: Comparison, row: Difference) -> bool:
    """Whether a difference is one of two shares of which more is better, and was tested."""
    name = comparison.aggregations.get((row.task, row.metric, row.filter), "")
    aggregation = AGGREGATIONS.get(name)
    tested = row.stderr is not None and row.difference is not None
    mean = aggregation is not None and aggregation.is_mean
    return tested and mean and not row.unit and row.higher_is_better is True
