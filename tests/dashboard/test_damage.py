"""Stores that are empty, damaged or half written: a sentence on every page, never a traceback."""

import pytest

from tests.dashboard.content import add_verdicts, enrich
from tests.dashboard.test_pages import PAGES, texts
from tests.results.test_safety import put_in_family
from tests.stores import make_store


@pytest.mark.parametrize("page", PAGES)
def test_a_store_without_runs_is_a_sentence(open_page, tmp_path, page):
    for path in (tmp_path, tmp_path / "never made"):
        app = open_page(page, path)
        assert not app.exception
        assert "holds no runs yet" in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_run_is_left_out_with_a_sentence(open_page, tmp_path, page):
    store = make_store(tmp_path, runs=("good", "cut", "odd"), tasks=["facts", "answers"], n=10)
    _, cut, odd = sorted(tmp_path.iterdir())
    (cut / "scores.parquet").write_bytes((cut / "scores.parquet").read_bytes()[:200])
    (odd / "run.json").write_text('{"run_id": 3}')
    (tmp_path / "half-written" / "samples").mkdir(parents=True)
    app = open_page(page, store)
    assert not app.exception
    assert "cannot be read and are left out" in texts(app)
    assert str(cut) in texts(app)


@pytest.mark.parametrize("page", ["samples", "tasks", "compare"])
def test_damaged_samples_are_a_sentence(open_page, tmp_path, page):
    store = make_store(tmp_path, tasks=["facts"], n=10)
    for path in tmp_path.glob("*/samples/facts.parquet"):
        path.write_bytes(b"PAR1")
    app = open_page(page, store)
    assert not app.exception
    assert "facts.parquet cannot be read" in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_new_runs_appear_after_a_reload(open_page, tmp_path, page):
    enrich(make_store(tmp_path, runs=("first",), tasks=["facts"], n=5))
    app = open_page(page, tmp_path)
    runs, tasks = ("first", "second"), ["latency", "answers"]
    store = add_verdicts(enrich(make_store(tmp_path, runs=runs, tasks=tasks, n=5)))
    put_in_family(store, {"answers": "bias"})
    app.run()
    assert not app.exception
    shown = "\n".join(frame.value.to_string() for frame in app.dataframe)
    options = [option for box in app.selectbox for option in box.options]
    shown += texts(app)
    assert "answers" in shown or "second" in shown or "second" in options


@pytest.mark.parametrize("page", PAGES)
def test_a_store_of_damaged_runs_alone_is_not_called_empty(open_page, tmp_path, page):
    store = make_store(tmp_path, runs=("cut",), tasks=["facts"], n=5)
    (next(tmp_path.iterdir()) / "scores.parquet").write_bytes(b"PAR1")
    app = open_page(page, store)
    assert not app.exception
    assert "cannot be read and are left out" in texts(app)
    assert "holds no runs yet" not in texts(app)
