"""Profiles: what the store holds of each setting, as the profile measured it."""

import pyarrow.parquet as pq
import pytest

from evalkit.results import SCORES, Store, overview, quality_and_speed, table, timed_runs
from evalkit.results.profiles import profile_latencies, profile_machine, profile_rates
from evalkit.results.report import make_report
from tests.stores import make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"


def profile_run(store: Store, run_id: str = LATE) -> None:
    """Replace what a run measured by a profile of three settings."""
    rates = {"prompt32-batch1": 100.0, "prompt32-batch4": 300.0, "prompt32-rate40": 250.0}
    rows = [
        score(run_id, f"first_token_s_p{level}", setting, level / 1000, "seconds")
        for level in (50, 90, 95, 99)
        for setting in rates
    ]
    rows += [
        score(run_id, "output_tokens_per_s", setting, rate, "tokens/s")
        for setting, rate in rates.items()
    ]
    rows.append(score(run_id, "peak_memory_bytes", "none", 5e8, "bytes"))
    run = store.resolve(run_id)
    record = next(iter(run.tasks.values())).model_copy(update={"family": "latency"})
    store.write_manifest(run.model_copy(update={"tasks": {"profile": record}}))
    pq.write_table(table(rows, SCORES), f"{store.path_of(run_id)}/scores.parquet")


def score(run_id, metric, setting, value, unit):
    """One row of a profile's scores."""
    ends = {} if setting == "none" else {"ci_low": value * 0.9, "ci_high": value * 1.1}
    return {
        "run_id": run_id, "task": "profile", "family": "latency", "metric": metric, "n": 20,
        "filter": setting, "value": value, "unit": unit, "num_fewshot": 0,
        "higher_is_better": unit == "tokens/s", **ends,
    }  # fmt: skip


@pytest.fixture
def store(tmp_path):
    store = make_store(tmp_path, tasks=["facts"], n=20)
    profile_run(store)
    return store


def test_percentiles_are_those_that_the_profile_estimated(store):
    found = profile_latencies(overview(store), "first_token_s")
    assert list(found["task"].unique()) == ["prompt32-batch1", "prompt32-batch4", "prompt32-rate40"]
    tail = found[(found["percentile"] == 99) & (found["task"] == "prompt32-batch4")].iloc[0]
    assert (tail["value"], tail["ci_low"], tail["ci_high"]) == pytest.approx(
        (0.099, 0.0891, 0.1089)
    )
    assert profile_latencies(overview(store), "end_to_end_s").empty


def test_rates_know_what_was_varied(store):
    found = profile_rates(overview(store)).set_index("setting")
    assert list(found["load"]) == ["batch", "batch", "rate"]
    assert list(found["size"]) == [1, 4, 40]
    assert list(found["prompt_tokens"]) == [32, 32, 32]
    assert found.loc["prompt32-batch4", "value"] == 300


def test_figures_of_no_setting_are_the_machines(store):
    found = profile_machine(overview(store))
    assert found[["metric", "value", "unit"]].to_numpy().tolist() == [
        ["peak_memory_bytes", 5e8, "bytes"]
    ]


def test_a_profile_is_no_timed_run(store):
    assert timed_runs(overview(store)) == []


def test_the_speed_of_a_profile_meets_the_quality_of_the_same_weights(store):
    figure = "profile · output_tokens_per_s · prompt32-batch1"
    assert quality_and_speed(overview(store), "facts · acc_norm", figure).empty
    early, late = store.resolve(EARLY), store.resolve(LATE)
    store.write_manifest(late.model_copy(update={"model": early.model}))
    found = quality_and_speed(overview(store), "facts · acc_norm", figure)
    assert list(found["run_id"]) == [EARLY]
    assert list(found["x"]) == [100]


def test_the_report_has_the_profiles_own_intervals(store):
    latency = next(p for p in make_report(store, ["late"]).sections if p.title == "Latency")
    row = next(r for r in latency.tables[0].rows if r[1] == "prompt32-batch4" and r[3] == "p99")
    assert row == (
        "late", "prompt32-batch4", "time to first token", "p99", "20", "99.0000",
        "[89.1000, 108.9000]",
    )  # fmt: skip
