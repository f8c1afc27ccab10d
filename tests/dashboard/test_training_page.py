"""The Training page: curves and pedigrees are those of the manifests and scores."""

import pytest

from tests.dashboard.content import enrich
from tests.dashboard.shown import charts, tables, texts
from tests.results.test_training_log import trained, write_log
from tests.stores import make_store


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Six checkpoints of one training, the fourth with a spike of the loss."""
    runs = {f"step-{i}": 0.4 + 0.06 * i for i in range(6)}
    store = enrich(make_store(tmp_path_factory.mktemp("s"), runs=runs, tasks=["facts"], n=60))
    run = store.resolve("step-3")
    training = {**run.model.training, "loss": 3.5}
    model = run.model.model_copy(update={"training": training})
    store.write_manifest(run.model_copy(update={"model": model}))
    return store


def test_the_losses_with_their_spike(open_page, series):
    app = open_page("training", series)
    assert not app.exception
    assert "Loss spike in step-3: 3.500 nats at 2,000." in texts(app)
    assert list(charts(app)) == ["Losses of the training", "facts · acc_norm by checkpoint"]


@pytest.fixture
def logged(tmp_path):
    """Two checkpoints with the log of their training beside them."""
    store = enrich(make_store(tmp_path / "store", tasks=["facts"], n=8))
    trained(store, tmp_path / "checkpoints")
    return store, write_log(tmp_path / "checkpoints")


def test_the_steps_come_from_the_log_of_the_training(open_page, logged):
    store, path = logged
    app = open_page("training", store)
    assert not app.exception
    assert "▲ Loss spike at step 700." in texts(app)
    assert list(charts(app)) == [
        "Losses of the training",
        "Learning rate of the training",
        "Norm of the gradient of the training",
        "Tokens a second of the training",
        "facts · acc_norm by checkpoint",
    ]
    path.write_bytes(b"PAR1")
    app.run()
    assert not app.exception
    assert "metrics.parquet is no readable log" in texts(app)
    assert "The mean loss that each checkpoint recorded" in texts(app)


def test_a_training_that_goes_on_is_followed(open_page, logged):
    store, path = logged
    app = open_page("training", store)
    write_log(path.parent, looks=69)
    app.run()
    assert "Loss spike" not in texts(app)


def test_over_tokens_and_beside_another(open_page, series):
    app = open_page("training", series, over="tokens_seen")
    assert "at 2,048,000." in texts(app)


def test_the_trend_is_tested_when_asked_for(open_page, series):
    assert "Slope" not in [c for frame in tables(open_page("training", series)) for c in frame]
    app = open_page("training", series, trend="true")
    assert not app.exception
    table = tables(app)[0]
    assert list(table["task"]) == ["facts · acc_norm"]
    assert table["reading"].item() == "getting better"
    assert table["n"].item() == 60
    assert "per training step" in texts(app)


def test_two_runs_are_no_trend(open_page, store):
    app = open_page("training", store, trend="true")
    assert not app.exception
    assert "at least three runs" in texts(app)


def test_the_pedigree_of_the_checkpoint_in_the_link(open_page, series):
    run = series.resolve("step-1")
    app = open_page("training", series, checkpoint=run.run_id)
    fields, sheet = (frame.set_index("field")["value"] for frame in tables(app))
    assert fields["step"] == "1,000"
    assert fields["weights_hash"] == run.model.weights_hash
    assert sheet["tokens"] == "1,492,492"
    assert "Trained from random weights." in texts(app)


def test_checkpoints_that_tell_nothing(open_page, tmp_path):
    make_store(tmp_path, tasks=["facts"], n=8)
    assert "No run of this store knows the training step" in texts(open_page("training", tmp_path))
