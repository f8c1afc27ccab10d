"""Samples of two runs side by side: the same document asked in the same words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit.results.store import Store

KEYS = ["filter", "doc_hash", "prompt_hash"]
_COLUMNS = [*KEYS, "doc_id", "cluster", "category", "statistics"]


@dataclass(frozen=True, slots=True)
class TaskPairs:
    """The paired samples of one task.

    Attributes:
        rows: One row a pair: filter, doc_id and doc_id_candidate, cluster, category, statistics and
            statistics_candidate (metric -> numbers).
        n_baseline: Samples of the baseline, paired or not.
        n_candidate: Samples of the candidate, paired or not.
        obstacle: Why no sample could be paired; empty where some could.
    """

    rows: pd.DataFrame
    n_baseline: int
    n_candidate: int
    obstacle: str = ""

    def metric(self, name: str, filter_: str, size: int) -> "MetricPairs":
        """Statistics of one metric where both samples have all `size` of them."""
        rows = self.rows[self.rows["filter"] == filter_]
        a = [_numbers(sample, name) for sample in rows["statistics"]]
        b = [_numbers(sample, name) for sample in rows["statistics_candidate"]]
        whole = [i for i in range(len(rows)) if len(a[i]) == len(b[i]) == size]
        return MetricPairs(
            rows.iloc[whole],
            _stack([a[i] for i in whole], size),
            _stack([b[i] for i in whole], size),
        )


@dataclass(frozen=True, slots=True)
class MetricPairs:
    """One metric's statistics of paired samples.

    Attributes:
        rows: Rows of `TaskPairs.rows`.
        baseline: Shape (n, size).
        candidate: Shape (n, size).
    """

    rows: pd.DataFrame
    baseline: NDArray[np.float64]
    candidate: NDArray[np.float64]

    @property
    def clusters(self) -> list[str | None]:
        """Cluster id of each pair, None where it stands alone."""
        return [None if pd.isna(cluster) else str(cluster) for cluster in self.rows["cluster"]]


Located = tuple[Store, str]
"""A run id and the store it lies in."""


def pair_task(baseline: Located, candidate: Located, task: str) -> TaskPairs:
    """Pair two runs' samples of a task on filter, document hash and prompt hash.

    The prompt hash covers decoding. Where a document occurs more than once, its occurrences pair in
    order, one to one.

    Raises:
        DataError: Samples are missing or damaged.
    """
    a, b = (_numbered(store.samples(run, task, _COLUMNS)) for store, run in (baseline, candidate))
    partner = b.drop(columns=["cluster", "category"])
    rows = a.merge(partner, on=[*KEYS, "occurrence"], suffixes=("", "_candidate"))
    obstacle = "" if len(rows) else _obstacle(a, b) or _other_question(baseline, candidate, task)
    return TaskPairs(rows, len(a), len(b), obstacle)


def _numbered(samples: pd.DataFrame) -> pd.DataFrame:
    samples = samples.assign(filter=samples["filter"].fillna("none"))
    return samples.assign(occurrence=samples.groupby(KEYS, dropna=False).cumcount())


def _obstacle(a: pd.DataFrame, b: pd.DataFrame) -> str:
    if a.empty or b.empty:
        return "a run has no samples of it"
    if not set(a["doc_hash"]) & set(b["doc_hash"]):
        return "the documents differ"
    prompts = set(zip(a["doc_hash"], a["prompt_hash"], strict=True))
    if prompts & set(zip(b["doc_hash"], b["prompt_hash"], strict=True)):
        return "the answers were extracted by other filters"
    return ""


def _other_question(baseline: Located, candidate: Located, task: str) -> str:
    """What differs in what was asked of the same documents, from the texts that were kept."""
    a, b = (
        store.samples(run, task, ["doc_hash", "prompt", "choices"]).drop_duplicates("doc_hash")
        for store, run in (baseline, candidate)
    )
    both = a.merge(b, on="doc_hash", suffixes=("", "_candidate"))
    if (both["prompt"] != both["prompt_candidate"]).any():
        return "the prompts differ"
    choices = ([list(c) if c is not None else [] for c in both[name]]
               for name in ("choices", "choices_candidate"))  # fmt: skip
    if any(x != y for x, y in zip(*choices, strict=True)):
        return "the choices differ"
    return "the decoding differs"


def _numbers(statistics: object, metric: str) -> list[float]:
    found = statistics.get(metric) if isinstance(statistics, dict) else None
    return [] if found is None else list(found)


def _stack(rows: list[list[float]], size: int) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), size)
