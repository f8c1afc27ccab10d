"""Samples of two runs side by side: the same document asked in the same words."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.results.store import Store

KEYS = ["filter", "doc_hash", "prompt_hash"]
_COLUMNS = [*KEYS, "doc_id", "cluster", "category", "statistics"]
_SHOWN = ["filter", "doc_id", "cluster", "category"]


@dataclass(frozen=True, slots=True)
class TaskPairs:
    """The paired samples of one task.

    Attributes:
        rows: One row a pair: filter, doc_id and doc_id_candidate, cluster, category.
        baseline: Statistics of each pair's baseline, an Arrow array of maps (metric -> numbers).
        candidate: The same of the candidate.
        n_baseline: Samples of the baseline, paired or not.
        n_candidate: Samples of the candidate, paired or not.
        obstacle: Why no sample could be paired; empty where some could.
    """

    rows: pd.DataFrame
    baseline: Any = field(repr=False)
    candidate: Any = field(repr=False)
    n_baseline: int
    n_candidate: int
    obstacle: str = ""

    def metric(self, name: str, filter_: str, size: int) -> "MetricPairs":
        """Statistics of one metric where both samples have all `size` of them."""
        lists = [
            pc.map_lookup(side, query_key=pa.scalar(name), occurrence="first")
            for side in (self.baseline, self.candidate)
        ]
        whole: Any = pa.array(self.rows["filter"] == filter_)
        for side in lists:
            fits: Any = pc.equal(pc.list_value_length(side), pa.scalar(size))
            whole = pc.and_(whole, pc.fill_null(fits, False))
        if pc.all(whole).as_py():
            return MetricPairs(self.rows, *(_stack(side, size) for side in lists))
        a, b = (_stack(side.filter(whole), size) for side in lists)
        return MetricPairs(self.rows[whole.to_numpy(zero_copy_only=False)], a, b)


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
        found: list[str | None] = self.rows["cluster"].astype(object).tolist()
        return [cluster if isinstance(cluster, str) else None for cluster in found]


Located = tuple[Store, str]
"""A run id and the store it lies in."""


def pair_task(baseline: Located, candidate: Located, task: str) -> TaskPairs:
    """Pair two runs' samples of a task on filter, document hash and prompt hash.

    The prompt hash covers decoding. Where a document occurs more than once, its occurrences pair in
    order, one to one.

    Raises:
        DataError: Samples are missing or damaged.
    """
    a, b = (store.samples_table(run, task, _COLUMNS) for store, run in (baseline, candidate))
    left, right = _matched(a, b)
    rows = a.select(_SHOWN).take(left).to_pandas()
    rows = rows.assign(
        filter=rows["filter"].fillna("none"),
        doc_id_candidate=b["doc_id"].take(right).to_pandas().to_numpy(),
    )
    obstacle = "" if len(rows) else _obstacle(a, b) or _other_question(baseline, candidate, task)
    old, new = (table["statistics"].take(at) for table, at in ((a, left), (b, right)))
    return TaskPairs(rows, old.combine_chunks(), new.combine_chunks(), len(a), len(b), obstacle)


def _matched(a: pa.Table, b: pa.Table) -> tuple[Any, Any]:
    """Places of the pairs in the two tables, in the order of the first."""
    if all(a[name].equals(b[name]) for name in KEYS):
        every = pa.array(np.arange(len(a)))
        return every, every
    keys = pd.concat([_keys(a), _keys(b)], ignore_index=True)
    codes = pd.Series(pd.factorize(keys)[0], dtype=np.int64)
    occurrences = [side.groupby(side).cumcount() for side in (codes[: len(a)], codes[len(a) :])]
    numbered = codes * (len(keys) + 1) + pd.concat(occurrences)
    places = pd.Index(numbered[len(a) :]).get_indexer(pd.Index(numbered[: len(a)]))
    paired = places >= 0
    return pa.array(np.flatnonzero(paired)), pa.array(places[paired])


def _keys(samples: pa.Table) -> pd.Series:
    """What two samples of a pair share, as one text each."""
    columns: list[Any] = [samples[name] for name in KEYS]
    parts: list[Any] = [pc.fill_null(column, "none") for column in columns]
    joined: Any = pc.binary_join_element_wise(*parts, "\n")
    return pd.Series(joined.to_pandas())


def _obstacle(a: pa.Table, b: pa.Table) -> str:
    if not len(a) or not len(b):
        return "a run has no samples of it"
    old, new = (side.select(["doc_hash", "prompt_hash"]).to_pandas() for side in (a, b))
    if not set(old["doc_hash"]) & set(new["doc_hash"]):
        return "the documents differ"
    if len(old.merge(new)):
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


def _stack(lists: Any, size: int) -> NDArray[np.float64]:
    """Arrow lists of one size as rows; a null number is NaN."""
    return np.array(lists.flatten().to_numpy(zero_copy_only=False), np.float64).reshape(-1, size)
