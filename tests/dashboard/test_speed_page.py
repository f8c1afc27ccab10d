"""The Speed page: its figures are those of the timings."""

import numpy as np

from tests.dashboard.shown import charts, tables, texts
from tests.results.test_profiles import profile_run
from tests.results.test_speed import LATE, time_requests
from tests.stores import make_store


def test_percentiles_in_milliseconds(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts", "latency"], n=20)
    first = time_requests(store, LATE)
    app = open_page("speed", store)
    assert not app.exception
    latency, flow = tables(app)
    cell = latency.set_index("label").loc["late", "p50"]
    ordered = 1000 * np.sort(first)
    assert cell.startswith(f"{1000 * np.median(first):.2f} ({ordered[13]:.2f}–{ordered[26]:.2f})")
    assert "(" not in latency.loc[0, "p99"]
    assert flow.set_index("label").loc["late", "requests"] == "10.0"
    assert "On the front:" in texts(app)


def test_another_quantity_and_percentile_by_the_link(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts", "latency"], n=20)
    time_requests(store, LATE)
    app = open_page("speed", store, of="per_token_s", percentile="95")
    assert tables(app)[0]["p95"].iloc[0].startswith("5.000")
    alts = charts(app)
    assert "p95 of time per output token by run, with 95 % intervals" in alts


def test_throughput_by_batch_size(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts", "latency"], n=20)
    for run, size in (("early", 4), ("late", 16)):
        found = store.resolve(run)
        settings = {**found.settings, "batch_size": size}
        store.write_manifest(found.model_copy(update={"settings": settings}))
    alts = charts(open_page("speed", store))
    assert "Throughput by batch size" in alts
    assert "Throughput by concurrency" not in alts


def test_times_of_several_machines_are_told_apart(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts", "latency"], n=8)
    assert "Timed on" not in texts(open_page("speed", store))
    for name, device in (("early", "cpu"), ("late", "H100")):
        hardware = {"cpu": "EPYC", "device": device, "threads": 16}
        run = store.resolve(name)
        store.write_manifest(run.model_copy(update={"environment": {"hardware": hardware}}))
    said = texts(open_page("speed", store))
    assert "Timed on 2 machines, whose times do not compare" in said
    assert "late on EPYC, H100, 16 threads" in said


def test_runs_without_timings(open_page, tmp_path):
    make_store(tmp_path, tasks=["facts"], n=8)
    app = open_page("speed", tmp_path)
    assert not app.exception
    assert "No run of this store was timed." in texts(app)


def test_damaged_timings_are_a_sentence(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts", "latency"], n=8)
    path = tmp_path / LATE / "timings.parquet"
    path.write_bytes(b"no parquet")
    app = open_page("speed", store)
    assert not app.exception
    assert "Some timings of this store cannot be read" in texts(app)
    assert str(path) in texts(app)


def test_a_profile_by_its_settings(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts"], n=20)
    profile_run(store)
    app = open_page("speed", store, percentile="99")
    assert not app.exception
    latency, rates, machine = tables(app)
    assert latency.set_index("label").loc["prompt32-batch4 · late", "p99"] == "99.00 (89.10–108.90)"
    cell = rates.set_index("setting").loc["prompt32-batch4", "output_tokens_per_s"]
    assert cell == "300.00 (270.00–330.00)"
    assert machine["Peak memory, MB"].item() == "500.00"
    alts = charts(app)
    assert "output tokens/s by batch size" in alts
    assert "output tokens/s by requests sent a second" not in alts


def test_hardware_of_another_shape_is_no_device(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts", "latency"], n=8)
    run = store.resolve(LATE)
    store.write_manifest(run.model_copy(update={"environment": {"hardware": ["odd"]}}))
    assert not open_page("speed", store).exception
