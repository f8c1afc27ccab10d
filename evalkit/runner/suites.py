"""One figure for a suite, where its file says how: mmlu as one accuracy, as lm-eval has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.registry import Registry
from evalkit.types import Score


@dataclass(frozen=True, slots=True)
class SuiteFigure:
    """A metric over the tasks of a suite.

    Attributes:
        value: Mean of the tasks' values, weighted by their samples unless the suite says otherwise.
        stderr: lm-eval's pooled standard error; None where a task has none.
        n: Samples of all tasks.
        tasks: Tasks that report the metric.
    """

    suite: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    n: int
    tasks: int


def suite_figures(
    suites: Mapping[str, Sequence[str]], scores: Sequence[Score], registry: Registry
) -> list[SuiteFigure]:
    """Figures of the suites whose files have an `aggregate_metric_list`.

    Args:
        suites: Name -> its tasks, as the run resolved them.
        scores: Of the run.
        registry: Finds the suites' files.
    """
    found = []
    for suite, tasks in suites.items():
        for metric, filters, by_size in registry.aggregates(suite):
            known = [s for s in scores if s.task in tasks and s.metric == metric]
            for name in dict.fromkeys(score.filter for score in known):
                part = [score for score in known if score.filter == name]
                if not filters or name in filters:
                    found.extend(_figure(suite, metric, name, part, by_size))
    return found


def _figure(
    suite: str, metric: str, filter_name: str, scores: Sequence[Score], by_size: bool
) -> list[SuiteFigure]:
    """The figure of one metric and filter; none where a task's value is undefined."""
    from lm_eval.api import metrics as lm_eval

    values = [score.value for score in scores if score.value is not None]
    errors = [score.stderr for score in scores if score.stderr is not None]
    if len(values) < len(scores):
        return []
    sizes = [score.n for score in scores]
    value = float(lm_eval.aggregate_subtask_metrics(values, sizes, by_size))
    stderr = None
    if len(errors) == len(scores):
        stderr = float(
            lm_eval.pooled_sample_stderr(errors, sizes)
            if by_size
            else lm_eval.unweighted_mean_stderr(errors)
        )
    return [SuiteFigure(suite, metric, filter_name, value, stderr, sum(sizes), len(scores))]
