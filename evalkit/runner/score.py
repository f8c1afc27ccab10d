"""Score: samples become scores with intervals."""

from collections.abc import Sequence

from evalkit.probes import Probe
from evalkit.registry import Task
from evalkit.stats import Estimate, estimate
from evalkit.types import Metric, Sample, Score


def score_task(task: Task, samples: Sequence[Sample], seed: int) -> list[Score]:
    """Scores of one task, metric by metric in the order the samples name them.

    Args:
        task: Gives each metric's aggregation.
        samples: Of this task only.
        seed: Seed of resampled intervals.
    """
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        for metric in sample.statistics:
            groups.setdefault((metric, sample.filter), []).append(sample)
    scores = [
        _score(task, metric, name, members, seed) for (metric, name), members in groups.items()
    ]
    return task.refine(scores) if isinstance(task, Probe) else scores


def _score(task: Task, metric: str, filter_name: str, samples: list[Sample], seed: int) -> Score:
    definition = task.metrics.get(metric, Metric())
    if definition.aggregation == "custom":
        value = task.aggregate(metric, filter_name)
        reason = f"{metric} is no function of sums over samples, so it has no interval"
        found = Estimate(value, None, None, None, len(samples), warning=reason)
    else:
        found = estimate(
            [sample.statistics[metric] for sample in samples],
            definition.aggregation,
            clusters=[sample.document.cluster for sample in samples],
            seed=seed,
        )
    return Score(
        task=task.name,
        metric=metric,
        filter=filter_name,
        value=found.value,
        stderr=found.stderr,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        n=found.n,
        n_clusters=found.n_clusters,
        interval=found.method,
        aggregation=definition.aggregation,
        higher_is_better=definition.higher_is_better,
        family=task.family,
        unit=definition.unit,
        note=found.warning,
    )
