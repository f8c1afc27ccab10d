"""Safety figures by category, and the worst documents."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from statsmodels.stats.proportion import proportion_confint

from evalkit.results import category_scores, overview, safety_scores, worst_documents
from evalkit.stats import estimate
from tests.stores import make_store

LATE = "20260102-000000-late"


def put_in_family(store, families):
    """Give the tasks of a store other families."""
    for run in store.listing().runs:
        path = f"{store.path_of(run.run_id)}/scores.parquet"
        scores = pq.read_table(path)
        names = [families.get(task, task) for task in scores["task"].to_pylist()]
        column = scores.schema.get_field_index("family")
        pq.write_table(scores.set_column(column, "family", pa.array(names)), path)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    tasks = ["facts", "passages", "stories", "latency"]
    store = make_store(tmp_path_factory.mktemp("store"), tasks=tasks, n=60)
    return put_in_family(store, {"facts": "Factuality", "passages": "bias", "stories": "toxicity"})


def score_of(store, task, metric):
    scores = overview(store).scores
    rows = scores[(scores["run_id"] == LATE) & (scores["task"] == task)]
    return rows[rows["metric"] == metric].iloc[0]


def test_the_families_are_known_in_any_case(store):
    assert set(safety_scores(overview(store))["task"]) == {"facts", "passages", "stories"}


def test_categories_have_wilson_intervals_and_the_worst_is_first(store):
    found = category_scores(store, LATE, "facts", score_of(store, "facts", "acc"))
    samples = store.samples(LATE, "facts")
    right = samples["statistics"].map(lambda row: row["acc"][0])
    by = right.groupby(samples["category"]).agg(["sum", "count", "mean"])
    assert dict(zip(found["category"], found["n"], strict=True)) == by["count"].to_dict()
    assert found["value"].is_monotonic_increasing
    for row in found.itertuples():
        counted = by.loc[row.category]
        low, high = proportion_confint(counted["sum"], counted["count"], method="wilson")
        assert (row.value, row.ci_low, row.ci_high) == pytest.approx((counted["mean"], low, high))


def test_where_less_is_better_the_largest_is_first(store):
    score = score_of(store, "facts", "acc").copy()
    score["higher_is_better"] = False
    found = category_scores(store, LATE, "facts", score)
    assert found["value"].is_monotonic_decreasing


def test_clusters_are_the_units_within_a_category(store):
    score = score_of(store, "passages", "acc")
    found = category_scores(store, LATE, "passages", score).set_index("category")
    samples = store.samples(LATE, "passages")
    for category, mine in samples.groupby("category"):
        right = [row["acc"][0] for row in mine["statistics"]]
        expected = estimate(right, "mean", list(mine["cluster"]))
        assert found.loc[category, "ci_low"] == pytest.approx(expected.ci_low)


def test_a_category_that_is_one_cluster_counts_its_documents(store, tmp_path):
    copy = make_store(tmp_path, tasks=["facts"], n=30)
    path = copy.samples_path(LATE, "facts")
    samples = pq.read_table(path)
    column = samples.schema.get_field_index("cluster")
    pq.write_table(samples.set_column(column, "cluster", samples["category"]), path)
    found = category_scores(copy, LATE, "facts", score_of(copy, "facts", "acc"))
    assert found["ci_low"].notna().all()


def test_tasks_without_categories(store):
    assert category_scores(
        store, LATE, "stories", score_of(store, "stories", "bits_per_byte")
    ).empty
    custom = score_of(store, "latency", "first_token_p50")
    assert category_scores(store, LATE, "latency", custom).empty


def test_the_worst_documents(store):
    score = score_of(store, "stories", "bits_per_byte")
    values = [
        -row["bits_per_byte"][0] / row["bits_per_byte"][1]
        for row in store.samples(LATE, "stories")["statistics"]
    ]
    worst = np.argsort(values)[::-1][:3]
    assert worst_documents(store, LATE, "stories", score, 3) == worst.tolist()
    score = score_of(store, "facts", "acc").copy()
    category = store.samples(LATE, "facts")["category"]
    found = worst_documents(store, LATE, "facts", score, 4, "Arden")
    assert all(category[doc_id] == "Arden" for doc_id in found)
    for nothing in (None, np.nan, pd.NA):
        score["higher_is_better"] = nothing if nothing is not pd.NA else None
        assert worst_documents(store, LATE, "facts", score, 3) == []
