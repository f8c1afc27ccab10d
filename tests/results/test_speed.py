"""Latencies, throughput, memory and the front of quality against speed."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.results import (
    TIMINGS,
    Store,
    latency_percentiles,
    memory_scores,
    overview,
    pareto_front,
    quality_and_speed,
    request_times,
    table,
    throughputs,
    timed_runs,
)
from tests.stores import make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"


def time_requests(store, run_id, count=40, seed=1):
    """Replace a run's timings by some whose requests are known; returns the first-token times."""
    first = np.random.default_rng(seed).lognormal(-5, 0.3, count)
    rows = [{"run_id": run_id, "phase": "respond", "total_s": 10.0}]
    rows += [
        {
            "run_id": run_id, "phase": "request", "task": "latency", "request_id": i,
            "output_tokens": 11, "first_token_s": value, "total_s": value + 0.05,
        }
        for i, value in enumerate(first)
    ]  # fmt: skip
    pq.write_table(table(rows, TIMINGS), f"{store.path_of(run_id)}/timings.parquet")
    return first


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path, tasks=["facts", "latency"], n=20)


def test_percentiles_are_those_of_the_requests(store):
    first = time_requests(store, LATE)
    times = request_times(store, [LATE])
    assert times.problems == []
    found = latency_percentiles(times.rows, "first_token_s").set_index("percentile")
    assert list(found.index) == [50, 90, 95, 99]
    assert list(found["n"].unique()) == [40]
    assert list(found["value"]) == pytest.approx(np.quantile(first, [0.5, 0.9, 0.95, 0.99]))
    assert (found.loc[50, "ci_low"], found.loc[50, "ci_high"]) == (
        np.sort(first)[13],
        np.sort(first)[26],
    )
    assert np.isnan(found.loc[99, "ci_high"])


def test_the_parts_make_the_whole(store):
    time_requests(store, LATE)
    rows = request_times(store, [LATE]).rows
    assert list(rows["per_token_s"]) == pytest.approx([0.005] * 40)
    whole = rows["first_token_s"] + 10 * rows["per_token_s"]
    assert list(whole) == pytest.approx(list(rows["total_s"]))


def test_one_token_has_no_time_per_token(store):
    rows = [
        {"phase": "request", "task": "latency", "output_tokens": tokens, "first_token_s": 0.1,
         "total_s": 0.1}
        for tokens in (1, None)
    ]  # fmt: skip
    pq.write_table(table(rows, TIMINGS), f"{store.path_of(LATE)}/timings.parquet")
    found = request_times(store, [LATE]).rows
    assert found["per_token_s"].isna().all()
    assert latency_percentiles(found, "per_token_s").empty
    assert len(latency_percentiles(found, "total_s")) == 4


def test_damaged_timings_are_told_and_left_out(store, tmp_path):
    (tmp_path / LATE / "timings.parquet").write_bytes(b"PAR1")
    times = request_times(store, [LATE, EARLY])
    assert len(times.problems) == 1
    assert LATE in times.problems[0]
    assert set(times.phases["run_id"]) == {EARLY}


def test_no_runs_no_times(store):
    times = request_times(store, [])
    assert times.rows.empty
    assert throughputs(overview(store), times.phases).empty


def test_throughput_is_requests_over_answering(store):
    time_requests(store, LATE)
    run = store.resolve(LATE)
    settings = {**run.settings, "batch_size": 8, "dtype": "bfloat16"}
    model = run.model.model_copy(update={"parameters": 1000})
    store.write_manifest(run.model_copy(update={"settings": settings, "model": model}))
    view = overview(store)
    row = throughputs(view, request_times(store, [LATE]).phases).iloc[0]
    assert row["requests_per_s"] == pytest.approx(sum(t.requests for t in run.tasks.values()) / 10)
    assert (row["batch_size"], row["concurrency"], row["dtype"]) == ("8", "auto", "bfloat16")
    assert row["weights_bytes"] == 2000


@pytest.mark.parametrize("change", [{"resumed": ["2026-01-02"]}, {"reused": {"other": 3}}])
def test_a_run_in_pieces_has_no_throughput(store, change):
    time_requests(store, LATE)
    store.write_manifest(store.resolve(LATE).model_copy(update=change))
    row = throughputs(overview(store), request_times(store, [LATE]).phases).iloc[0]
    assert np.isnan(row["requests_per_s"])


def test_timed_runs_and_memory_are_known_by_their_units(store, tmp_path):
    view = overview(store)
    assert timed_runs(view) == [LATE, EARLY]
    path = tmp_path / LATE / "scores.parquet"
    scores = pq.read_table(path)
    units = ["MiB" if name == "mean_s" else "" for name in scores["metric"].to_pylist()]
    column = scores.schema.get_field_index("unit")
    pq.write_table(scores.set_column(column, "unit", pa.array(units)), path)
    view = overview(store)
    assert timed_runs(view) == [EARLY]
    assert list(memory_scores(view, [LATE, EARLY])["run_id"]) == [LATE]


def test_the_front_of_quality_and_speed(tmp_path):
    runs = {"slow": 0.8, "middle": 0.6, "quick": 0.4, "bad": 0.3}
    store = make_store(tmp_path, runs=runs, tasks=["facts", "latency"], n=200)
    view = overview(store)
    seconds = dict(zip(["slow", "middle", "quick", "bad"], [4.0, 2.0, 1.0, 3.0], strict=True))
    names = view.scores["run_id"].map({run: m.name for run, m in view.manifests.items()})
    timed = view.scores["metric"] == "mean_s"
    view.scores.loc[timed, "value"] = names[timed].map(seconds)
    found = quality_and_speed(view, "facts · acc_norm", "latency · mean_s")
    best = {view.manifests[row.run_id].name for row in found.itertuples() if row.best}
    assert best == {"slow", "middle", "quick"}
    assert list(found.columns) == ["run_id", "x", "x_low", "x_high", "y", "y_low", "y_high", "best"]


def test_pareto_front():
    assert pareto_front([[1, 2], [2, 1], [2, 2], [1, 2]]).tolist() == [True, True, False, True]
    assert pareto_front(np.empty((0, 2))).tolist() == []


def test_a_store_that_is_not_there(tmp_path):
    assert timed_runs(overview(Store(tmp_path / "none"))) == []
