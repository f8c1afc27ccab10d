"""Questions about the samples of one task, pushed down to Parquet.

A samples table can be large, its prompts above all. So an *index* is read first, a few narrow
columns of every sample, in which samples are filtered and ordered; then the full rows of one page.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from evalkit.errors import DataError
from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.schema import SAMPLES
from evalkit.results.store import Store

OUTCOMES = ("all", "right", "wrong", "flipped", "won", "lost")
ORDERS = ("document", "worst first", "best first", "largest change")
_TEXTS = ("prompt", "target", "answer")
_TEXT_LISTS = ("choices", "responses")


def sample_index(store: Store, run_id: str, task: str, score: pd.Series) -> pd.DataFrame:
    """Narrow columns of every sample under one metric, by document.

    Args:
        store: Where the run lies.
        run_id: The run.
        task: One of its tasks.
        score: The row of `SCORES` meant; gives metric, filter, aggregation and direction.

    Returns:
        doc_id, doc_hash, prompt_hash, category, `value` (the metric of this sample alone; NaN where
        undefined) and `right` (null where the metric is not a matter of right and wrong).

    Raises:
        DataError: The samples are missing or damaged.
    """
    statistics = pc.map_lookup(
        pc.field("statistics"), query_key=pa.scalar(str(score["metric"])), occurrence="first"
    )
    names = ["doc_id", "doc_hash", "prompt_hash", "category"]
    columns = {name: pc.field(name) for name in names} | {"statistics": statistics}
    wanted = pc.field("filter") == pa.scalar(str(score["filter"]))
    found = _scan(store, run_id, task, columns, wanted)
    frame = found.select(names).to_pandas()
    frame["value"] = _values(found["statistics"], str(score["aggregation"]))
    frame["right"] = _right(frame["value"], score["higher_is_better"])
    return frame.sort_values("doc_id", kind="stable").reset_index(drop=True)


def paired_index(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Index `a` with what run b did on the same documents.

    Samples are matched by document hash, a document that occurs twice in order. Added columns:
    `other_doc_id` (null where b lacks the document), `other_value`, `other_right`, `same_prompt`,
    `change` (b's value less a's) and `flip`: "won" where only b is right, "lost" where only a
    is, "" elsewhere.
    """
    renamed = {"doc_id": "other_doc_id", "value": "other_value", "right": "other_right"}
    other = b.rename(columns={**renamed, "prompt_hash": "other_prompt"}).drop(columns="category")
    a = a.assign(occurrence=a.groupby("doc_hash").cumcount())
    other = other.assign(occurrence=other.groupby("doc_hash").cumcount())
    both = a.merge(other, on=["doc_hash", "occurrence"], how="left").drop(columns="occurrence")
    both["same_prompt"] = both["prompt_hash"] == both.pop("other_prompt")
    both["change"] = both["other_value"] - both["value"]
    won = (~both["right"] & both["other_right"]).fillna(False).astype(bool)
    lost = (both["right"] & ~both["other_right"]).fillna(False).astype(bool)
    both["flip"] = np.select([won, lost], ["won", "lost"], default="")
    return both


def select_samples(
    index: pd.DataFrame,
    outcome: str = "all",
    category: str | None = None,
    order: str = "document",
    higher_is_better: bool | None = True,
) -> pd.DataFrame:
    """Rows of an index that fit one of `OUTCOMES` and a category, in one of `ORDERS`."""
    rows = index
    if outcome in ("right", "wrong"):
        rows = rows[(rows["right"] == (outcome == "right")).fillna(False).astype(bool)]
    elif outcome != "all":
        flips = rows["flip"] if "flip" in rows else pd.Series("", index=rows.index)
        rows = rows[flips == outcome] if outcome != "flipped" else rows[flips != ""]
    if category is not None:
        rows = rows[rows["category"] == category]
    if order == "largest change" and "change" in rows:
        return rows.sort_values("change", key=np.abs, ascending=False, kind="stable")
    if order in ("worst first", "best first"):
        ascending = (order == "worst first") == (higher_is_better is not False)
        return rows.sort_values("value", ascending=ascending, kind="stable")
    return rows


def search_samples(store: Store, run_id: str, task: str, text: str) -> set[int]:
    """Ids of the documents whose prompt, target, answer, choices or responses contain the text.

    The text is meant literally, upper and lower case being one.

    Raises:
        DataError: The samples are missing or damaged.
    """
    wanted = pc.scalar(False)
    for name in (*_TEXTS, *_TEXT_LISTS):
        field: Any = pc.field(name)
        joined = pc.binary_join(field, "\n") if name in _TEXT_LISTS else field
        wanted = wanted | pc.match_substring(joined, text, ignore_case=True)
    found = _scan(store, run_id, task, {"doc_id": pc.field("doc_id")}, wanted)
    return {int(doc_id) for doc_id in found["doc_id"].to_numpy()}


def sample_rows(
    store: Store, run_id: str, task: str, filter_name: str, doc_ids: Sequence[int]
) -> pd.DataFrame:
    """Full samples of the given documents, in the order asked; columns as `SAMPLES`.

    Raises:
        DataError: The samples are missing or damaged.
    """
    columns = {name: pc.field(name) for name in SAMPLES.names}
    wanted = pc.field("doc_id").isin(pa.array(list(doc_ids), pa.int64()))
    wanted = wanted & (pc.field("filter") == pa.scalar(filter_name))
    frame = _scan(store, run_id, task, columns, wanted).to_pandas(maps_as_pydicts="strict")
    place = {doc_id: position for position, doc_id in enumerate(doc_ids)}
    return frame.sort_values("doc_id", key=lambda ids: ids.map(place)).reset_index(drop=True)


def first_sample(store: Store, run_id: str, task: str) -> dict[str, Any] | None:
    """The first sample of a task as a mapping of `SAMPLES`, or None where there is none.

    Raises:
        DataError: The samples are missing or damaged.
    """
    path = store.samples_path(run_id, task)
    try:
        rows = _dataset(store, path).head(1).to_pylist(maps_as_pydicts="strict")
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    return dict(rows[0]) if rows else None


def _scan(
    store: Store, run_id: str, task: str, columns: dict[str, pc.Expression], wanted: pc.Expression
) -> pa.Table:
    path = store.samples_path(run_id, task)
    try:
        return _dataset(store, path).to_table(columns=columns, filter=wanted)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


def _dataset(store: Store, path: str) -> ds.Dataset:
    """The file under today's schema: columns that an older version lacks read as null."""
    return ds.dataset(path, schema=SAMPLES, format="parquet", filesystem=store.filesystem)


def _values(statistics: Any, aggregation: str) -> np.ndarray:
    """The metric of each sample alone, from its statistics; NaN where it has none."""
    # A custom aggregation is no function of sums; its samples show their first number.
    how = AGGREGATIONS.get(aggregation, AGGREGATIONS["mean"])
    size = how.size if aggregation in AGGREGATIONS else 1
    return how.sample_values(
        np.concatenate([np.empty((0, size)), *(_first(c, size) for c in statistics.chunks)])
    )


def _first(lists: Any, size: int) -> np.ndarray:
    """The first numbers of an Arrow array's lists, shape (lists, size); NaN where one is short."""
    numbers = np.full((len(lists), size), np.nan)
    long_enough = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False) >= size
    starts = lists.offsets.to_numpy()[:-1][long_enough]
    numbers[long_enough] = lists.values.to_numpy(zero_copy_only=False)[
        starts[:, None] + np.arange(size)
    ]
    return numbers


def _right(values: pd.Series, higher_is_better: bool | None) -> pd.Series:
    """Right or wrong where every value is 0 or 1 and one of them is better; null elsewhere."""
    known = values.dropna()
    if higher_is_better is None or known.empty or not known.isin([0.0, 1.0]).all():
        return pd.Series(pd.NA, index=values.index, dtype="boolean")
    right = (values == (1.0 if higher_is_better else 0.0)).astype("boolean")
    return right.mask(values.isna())
