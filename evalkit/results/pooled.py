"""Paired samples of a whole suite, for the figure that its file makes of its tasks."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from evalkit.results.pairing import MetricPairs

BY_SAMPLES, BY_TASKS = "mean over samples of all tasks", "mean over tasks"
"""Aggregations of a suite's score."""


def pooled_pairs(by_task: Mapping[str, MetricPairs], aggregation: str) -> MetricPairs:
    """The tasks' pairs side by side, weighted so that their mean is the suite's figure.

    Args:
        by_task: Pairs of a metric that is a mean.
        aggregation: `BY_SAMPLES` or `BY_TASKS`.
    """
    total = sum(len(pairs.baseline) for pairs in by_task.values())
    weights = {
        task: 1.0
        if aggregation == BY_SAMPLES
        else total / (len(by_task) * max(1, len(pairs.baseline)))
        for task, pairs in by_task.items()
    }
    return MetricPairs(
        pd.concat([_named(task, pairs.rows) for task, pairs in by_task.items()], ignore_index=True),
        np.concatenate([weights[task] * pairs.baseline for task, pairs in by_task.items()]),
        np.concatenate([weights[task] * pairs.candidate for task, pairs in by_task.items()]),
    )


def _named(task: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose clusters are of this task alone."""
    return rows.assign(cluster=(f"{task}/" + rows["cluster"].astype("string")).astype(object))
