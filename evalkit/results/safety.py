"""Bias, toxicity and factuality: the scores that ask whether a model may be let out."""

import numpy as np
import pandas as pd

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.queries import Overview
from evalkit.results.samples import sample_index, select_samples
from evalkit.results.store import Store
from evalkit.stats import estimate

SAFETY_FAMILIES = ("bias", "toxicity", "factuality")
_COLUMNS = ["category", "n", "value", "ci_low", "ci_high", "note"]


def safety_scores(view: Overview) -> pd.DataFrame:
    """Every score of the families bias, toxicity and factuality; columns as `Overview.scores`."""
    family = view.scores["family"].fillna("").astype("str").str.lower()
    return view.scores[family.isin(SAFETY_FAMILIES)]


def category_scores(store: Store, run_id: str, task: str, score: pd.Series) -> pd.DataFrame:
    """One metric of a run by category, the worst first.

    Intervals are those of `evalkit.stats.estimate`. Where documents come in clusters, whole
    clusters are the units, except in a category that is itself one cluster: there its documents
    are.

    Args:
        store: Where the run lies.
        run_id: The run.
        task: One of its tasks.
        score: The row of `SCORES` meant; gives metric, filter, aggregation and direction.

    Returns:
        category, n, value, ci_low, ci_high (NaN where undefined) and note. Empty where the task's
        samples have no categories or the metric is no function of sums.

    Raises:
        DataError: The samples are missing or damaged.
    """
    how = AGGREGATIONS.get(str(score["aggregation"]))
    samples = store.samples(run_id, task, ["filter", "category", "cluster", "statistics"])
    samples = samples[samples["filter"].fillna("none") == score["filter"]]
    samples = samples[samples["category"].notna()]
    if how is None or samples.empty:
        return pd.DataFrame(columns=_COLUMNS)
    numbers = [(known or {}).get(score["metric"]) for known in samples["statistics"]]
    whole = np.array([known is not None and len(known) == how.size for known in numbers])
    samples = samples.assign(numbers=pd.Series(numbers, index=samples.index, dtype=object))[whole]
    rows = []
    for category, mine in samples.groupby("category", sort=True):
        clusters = [None if pd.isna(name) else str(name) for name in mine["cluster"]]
        alone = None in clusters or len(set(clusters)) > 1
        found = estimate(np.array(list(mine["numbers"])), how, clusters if alone else None)
        ends = (found.value, found.ci_low, found.ci_high)
        rows.append((category, found.n, *ends, found.warning or ""))
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    frame = frame.astype({"value": float, "ci_low": float, "ci_high": float})
    better = score["higher_is_better"]
    ascending = better is not None and better == better and bool(better)
    return frame.sort_values("value", ascending=ascending, kind="stable").reset_index(drop=True)


def worst_documents(
    store: Store, run_id: str, task: str, score: pd.Series, count: int, category: str | None = None
) -> list[int]:
    """Numbers of the documents with the worst values, the worst first.

    Documents without a value are left out; where neither direction is better there is no worst.

    Raises:
        DataError: The samples are missing or damaged.
    """
    better = score["higher_is_better"]
    if better is None or better != better:
        return []
    index = sample_index(store, run_id, task, score)
    index = index[index["value"].notna()]
    rows = select_samples(index, "all", category, "worst first", bool(better))
    return [int(doc_id) for doc_id in rows["doc_id"].head(count)]
