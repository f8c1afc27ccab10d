"""One score for a suite, where its file says how: mmlu as one accuracy, as lm-eval has it."""

from collections.abc import Mapping, Sequence

from evalkit.registry import Registry
from evalkit.results.pooled import BY_SAMPLES, BY_TASKS
from evalkit.stats import bounded_interval, t_interval
from evalkit.types import Score


def suite_scores(
    suites: Mapping[str, Sequence[str]], scores: Sequence[Score], registry: Registry
) -> list[Score]:
    """Scores of the suites whose files have an `aggregate_metric_list`.

    Args:
        suites: Name -> its tasks, as the run resolved them.
        scores: Of the run's tasks.
        registry: Finds the suites' files.
    """
    found = []
    for suite, tasks in suites.items():
        for metric, filters, by_size in registry.aggregates(suite):
            known = [s for s in scores if s.task in tasks and s.metric == metric]
            for name in dict.fromkeys(score.filter for score in known):
                part = [score for score in known if score.filter == name]
                if not filters or name in filters:
                    found.extend(_pooled(suite, part, by_size))
    return found


def _pooled(suite: str, scores: Sequence[Score], by_size: bool) -> list[Score]:
    """The score of one metric and filter; none where a task's value is undefined."""
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
    low, high, method = _interval(value, stderr, scores)
    first = scores[0]
    families = {score.family for score in scores}
    return [
        Score(
            task=suite,
            metric=first.metric,
            filter=first.filter,
            value=value,
            stderr=stderr,
            ci_low=low,
            ci_high=high,
            n=sum(sizes),
            higher_is_better=first.higher_is_better,
            n_clusters=_clusters(scores),
            interval=method,
            aggregation=BY_SAMPLES if by_size else BY_TASKS,
            family=families.pop() if len(families) == 1 else None,
            unit=first.unit,
            tasks=len(scores),
        )
    ]


def _interval(
    value: float, stderr: float | None, scores: Sequence[Score]
) -> tuple[float | None, float | None, str | None]:
    """Wilson's, by the effective number of samples, where every task's is; else Student's."""
    if stderr is None:
        return None, None, None
    n, clusters = sum(score.n for score in scores), _clusters(scores)
    if all("wilson" in (score.interval or "") for score in scores):
        low, high = bounded_interval(value, stderr, n, clusters)
        return low, high, "pooled wilson"
    low, high = t_interval(value, stderr, (clusters or n) - len(scores))
    return low, high, "pooled t"


def _clusters(scores: Sequence[Score]) -> int | None:
    """Clusters of all tasks, samples that stand alone counted as one each; None without any."""
    if all(score.n_clusters is None for score in scores):
        return None
    return sum(score.n_clusters or score.n for score in scores)
