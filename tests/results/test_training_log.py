"""The log of a training: found beside its own checkpoints alone, read and drawn as it is."""

import json

import numpy as np
import pytest

from evalkit.errors import DataError
from evalkit.results import LOOKED_AT, find_log, log_curve, overview, read_log, training_series
from evalkit.training.history import METRICS_NAME, SCHEMA, History
from tests.dashboard.content import enrich
from tests.stores import make_store

SPIKE = 70


def write_log(folder, looks=100):
    """A log as a training writes it: a look every ten steps, a held-out loss every fifty."""
    history = History(folder)
    for number in range(1, looks + 1):
        is_spike = number == SPIKE
        history.add(
            step=10 * number, tokens_seen=1000 * number, loss=3 / number + 2 * is_spike,
            learning_rate=1e-3, grad_norm=float("inf") if number == 1 else 1.0,
            tokens_per_s=500.0, event="spike" if is_spike else None,
            detail="Loss spike at step 700." if is_spike else None,
        )  # fmt: skip
        if number % 5 == 0:
            history.add(step=10 * number, held_out_loss=3.5 / number)
    history.write()
    return folder / METRICS_NAME


def trained(store, folder):
    """Give the runs of a store checkpoints on this machine, as their manifests name them."""
    for run in store.listing().runs:
        place = folder / f"step-{run.model.training['step']:06d}"
        place.mkdir(parents=True)
        (place / "evalkit.json").write_text(json.dumps(run.model.training))
        model = run.model.model_copy(update={"path": str(place)})
        store.write_manifest(run.model_copy(update={"model": model}))
    return store


@pytest.fixture
def store(tmp_path):
    made = enrich(make_store(tmp_path / "store", tasks=["facts"], n=5))
    return trained(made, tmp_path / "checkpoints")


def test_the_columns_are_those_that_a_training_writes():
    assert {"step", "tokens_seen", "event", "detail", *LOOKED_AT} <= set(SCHEMA.names)


def test_a_log_is_found_beside_its_own_checkpoints(store, tmp_path):
    view = overview(store)
    (series,) = training_series(view)
    assert find_log(view, series) is None
    path = write_log(tmp_path / "checkpoints")
    assert find_log(view, series) == path
    for record in tmp_path.glob("checkpoints/*/evalkit.json"):
        other = {**json.loads(record.read_text()), "created": "of another training"}
        record.write_text(json.dumps(other))
    assert find_log(view, series) is None


@pytest.mark.parametrize("path", ["openai:http://127.0.0.1:1#m", "\0", "x" * 5000])
def test_a_checkpoint_that_is_nowhere_has_no_log(store, path):
    for run in store.listing().runs:
        model = run.model.model_copy(update={"path": path})
        store.write_manifest(run.model_copy(update={"model": model}))
    view = overview(store)
    assert find_log(view, training_series(view)[0]) is None


def test_every_look_is_read(tmp_path):
    log = read_log(write_log(tmp_path))
    assert len(log) == 120
    assert log["loss"].notna().sum() == 100
    assert np.isnan(log["grad_norm"][0])
    measured = log[log["held_out_loss"].notna()]
    assert list(measured["tokens_seen"]) == list(100 * measured["step"])


def test_curves_have_the_values_of_the_log(tmp_path):
    log = read_log(write_log(tmp_path))
    loss = log_curve(log, "loss")
    assert list(loss["position"]) == [10.0 * number for number in range(1, 101)]
    assert loss["value"].to_numpy() == pytest.approx(
        [3 / number + 2 * (number == SPIKE) for number in range(1, 101)]
    )
    assert loss.loc[loss["event"] == "spike", "position"].tolist() == [700.0]
    assert loss.loc[SPIKE - 1, "detail"] == "Loss spike at step 700."
    inside = loss[(loss["value"] >= loss["ci_low"]) & (loss["value"] <= loss["ci_high"])]
    assert len(inside) >= 80
    assert SPIKE - 1 not in inside.index
    tokens = log_curve(log, "held_out_loss", "tokens_seen")
    assert list(tokens["position"]) == [5000.0 * number for number in range(1, 21)]
    assert tokens["ci_low"].isna().all()


def test_a_long_log_is_thinned_to_means_and_keeps_its_events(tmp_path):
    log = read_log(write_log(tmp_path, looks=3000))
    loss = log_curve(log, "loss")
    assert len(loss) == 300
    assert loss["value"][0] == pytest.approx(np.mean([3 / number for number in range(1, 11)]))
    assert (loss["event"] == "spike").sum() == 1


def test_a_damaged_log_is_one_sentence(tmp_path):
    path = write_log(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"metrics\.parquet is no readable log"):
        read_log(path)


def test_a_log_of_an_older_version_lacks_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / METRICS_NAME
    pq.write_table(pa.table({"step": [1, 2], "loss": [2.0, 1.0]}), path)
    log = read_log(path)
    assert log_curve(log, "loss")["value"].tolist() == [2.0, 1.0]
    assert log_curve(log, "loss", "tokens_seen").empty
    assert log_curve(log, "grad_norm").empty
