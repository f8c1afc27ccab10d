"""How checkpoints learned: series, curves, spikes, pedigrees."""

import shutil

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from evalkit.results import (
    Store,
    compare_series,
    datasheet,
    loss_curve,
    loss_spikes,
    overview,
    pedigree,
    score_curves,
    training_series,
)
from tests.stores import make_store

RUNS = {"a": 0.4, "b": 0.5, "c": 0.6, "d": 0.65}


def record(step, loss=1.0, seed=0, name="micro"):
    return {
        "name": name,
        "step": step,
        "tokens_seen": step * 1000,
        "loss": loss,
        "parent": None,
        "recipe": {"pretraining": {"seed": seed, "save_at": [0.5, 1.0]}},
        "corpus": {"sha256": "c" * 64, "passages": {"tales": 1234}},
    }


def train(store, records, tags=None):
    """Give runs training records, by name."""
    for name, training in records.items():
        run = store.resolve(name)
        model = run.model.model_copy(update={"training": training})
        changed = {"model": model, "tags": (tags or {}).get(name, {})}
        store.write_manifest(run.model_copy(update=changed))
    return overview(store)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_store(folder, runs=RUNS, tasks=["facts", "stories"], n=30)
    return folder


@pytest.fixture
def store(made, tmp_path):
    return Store(shutil.copytree(made, tmp_path / "store"))


def test_a_series_is_one_recipe_in_the_order_of_its_steps(store):
    view = train(
        store,
        {"a": record(300), "b": record(100), "c": record(200), "d": record(100, seed=1)},
    )
    first, second = training_series(view)
    assert [view.manifests[run].name for run in first.runs] == ["d"]
    assert [view.manifests[run].name for run in second.runs] == ["b", "c", "a"]
    assert first.name != second.name
    assert all(series.name.startswith("micro · ") for series in (first, second))


def test_a_checkpoint_measured_twice_counts_once_by_its_newest_run(store):
    view = train(store, {"a": record(100), "b": record(100), "c": record(200)})
    (series,) = training_series(view)
    assert [view.manifests[run].name for run in series.runs] == ["b", "c"]
    assert series.name == "micro"


def test_a_tag_names_a_series(store):
    tags = {name: {"series": "mine"} for name in "abc"}
    records = {"a": record(1), "b": record(2, seed=1), "c": record(3), "d": record(4)}
    found = training_series(train(store, records, tags))
    assert [(series.name, len(series.runs)) for series in found] == [("micro", 1), ("mine", 3)]


@pytest.mark.parametrize("broken", [None, {}, {"step": "x"}, {"step": True}, {"step": [1]}])
def test_a_run_without_a_step_belongs_to_no_series(store, broken):
    view = train(store, {"a": broken, "b": record(5), "c": None, "d": {"step": float("inf")}})
    assert [len(series.runs) for series in training_series(view)] == [1]


@pytest.mark.parametrize(("along", "scale"), [("step", 1), ("tokens_seen", 1000)])
def test_curves_are_the_primary_scores_of_the_store(store, along, scale):
    view = train(store, {name: record(100 * i + 100) for i, name in enumerate("abcd")})
    (series,) = training_series(view)
    curves = score_curves(view, series, along)
    assert set(curves["figure"]) == {"facts · acc_norm", "stories · word_perplexity"}
    mine = curves[curves["task"] == "facts"]
    assert list(mine["position"]) == [100 * scale, 200 * scale, 300 * scale, 400 * scale]
    stored = store.scores(task="facts", metric="acc_norm").sort_values("run_id")
    for column in ("value", "ci_low", "ci_high"):
        assert list(mine[column]) == list(stored[column])


def test_other_documents_are_left_out_of_a_curve(store):
    view = train(store, {name: record(100 * i + 100) for i, name in enumerate("abcd")})
    run = store.resolve("b")
    other = run.tasks["facts"].model_copy(update={"data_hash": "other"})
    store.write_manifest(run.model_copy(update={"tasks": {**run.tasks, "facts": other}}))
    view = overview(store)
    (series,) = training_series(view)
    curves = score_curves(view, series)
    assert list(curves.loc[curves["task"] == "facts", "label"]) == ["a", "c", "d"]
    assert list(curves.loc[curves["task"] == "stories", "label"]) == ["a", "b", "c", "d"]


def test_losses_come_from_the_records(store):
    records = {"a": record(100, 3.0), "b": record(200, None), "c": record(300, 2.0)}
    view = train(store, records)
    (series,) = training_series(view)
    losses = loss_curve(view, series)
    assert list(losses["label"]) == ["a", "c"]
    assert list(losses["value"]) == [3.0, 2.0]
    assert not losses["spike"].any()


def test_a_planted_spike_is_found_and_noise_is_not():
    steps = np.arange(1, 60)
    for seed in range(20):
        losses = 4 * steps**-0.2 + np.random.default_rng(seed).normal(0, 0.005, len(steps))
        assert not loss_spikes(losses).any()
        losses[30] += 0.5
        assert loss_spikes(losses).nonzero()[0].tolist() == [30]


def test_few_losses_or_falling_ones_have_no_spike():
    assert not loss_spikes([5, 1, 9, 1]).any()
    assert not loss_spikes([]).any()
    assert not loss_spikes(np.linspace(5, 1, 20)).any()
    # A sudden fall is no spike.
    assert not loss_spikes([5, 4.9, 4.8, 2.0, 1.9, 1.8, 1.7, 1.6]).any()


def test_pedigree_and_datasheet_tell_all_that_is_known(store):
    view = train(store, {"a": record(1500, 0.75)})
    run = store.resolve("a")
    fields = pedigree(run).set_index("field")["value"]
    assert fields["step"] == "1,500"
    assert fields["loss"] == "0.75"
    assert fields["recipe.pretraining.save_at"] == "0.5, 1.0"
    assert fields["weights_hash"] == run.model.weights_hash
    assert "parent" not in fields
    assert not fields.index.str.startswith("corpus").any()
    sheet = datasheet(run).set_index("field")["value"]
    assert sheet["passages.tales"] == "1,234"
    assert datasheet(store.resolve("d")).empty
    assert list(pedigree(view.manifests[run.run_id])["field"]) == list(fields.index)


def test_a_series_of_manifests_and_some_tasks(store):
    view = train(store, {name: record(100 * i + 100) for i, name in enumerate("abcd")})
    (series,) = training_series(view)
    runs = [view.manifests[run] for run in series.runs]
    found = compare_series(runs, store, tasks=["facts"])
    assert [curve.task for curve in found.curves] == ["facts"]
    assert found.by_step
    assert found.curves == compare_series(list("abcd"), store, tasks=["facts"]).curves


def test_a_newer_run_of_other_tasks_hides_no_curve(store):
    train(store, {"a": record(100), "b": record(200), "c": record(300), "d": record(300)})
    path = f"{store.path_of(store.resolve('d').run_id)}/scores.parquet"
    scores = pq.read_table(path)
    pq.write_table(scores.filter(pc.field("task") == "stories"), path)
    view = overview(store)
    (series,) = training_series(view)
    curves = score_curves(view, series)
    assert list(curves.loc[curves["task"] == "facts", "label"]) == ["a", "b", "c"]
    assert list(curves.loc[curves["task"] == "stories", "label"]) == ["a", "b", "d"]
    assert [view.manifests[run].name for run in series.runs] == ["a", "b", "d"]
