"""Stores that are empty, damaged or half written: a sentence on every page, never a traceback."""

import pyarrow.parquet as pq
import pytest

from tests.dashboard.content import add_verdicts, enrich
from tests.dashboard.shown import tables, texts
from tests.dashboard.test_pages import PAGES
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
    shown = "\n".join(frame.to_string() for frame in tables(app))
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


@pytest.mark.parametrize(
    ("page", "damaged", "query", "rest"),
    [
        ("compare", "translation", {}, "not told apart"),
        ("samples", "answers", {"task": "answers"}, "10 samples"),
        ("safety", "answers", {"of": "answers · exact_match"}, "no categories"),
        ("arena", "translation", {"rater": "ann"}, "judged by you"),
        ("arena", "translation", {"rater": "ann", "task": "translation"}, "Arena"),
    ],
)
def test_a_damaged_samples_file_costs_only_its_part(
    open_page, tmp_path, page, damaged, query, rest
):
    store = make_store(tmp_path, tasks=["translation", "answers"], n=10)
    put_in_family(store, {"translation": "toxicity", "answers": "bias"})
    run, other = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / run / "samples" / f"{damaged}.parquet").write_bytes(b"PAR1")
    app = open_page(page, store, a=other, b=run, **query)
    assert not app.exception
    assert "This page cannot be shown" not in texts(app)
    assert rest in texts(app)
    told = f"{damaged}.parquet cannot be read" in texts(app)
    assert told == (page != "arena" or "task" in query)


def test_a_damaged_column_of_texts_costs_only_the_texts(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["answers"], n=300)
    for path in tmp_path.glob("*/samples/answers.parquet"):
        place = pq.ParquetFile(path).metadata.row_group(0)
        names = [place.column(i).path_in_schema for i in range(place.num_columns)]
        prompt = place.column(names.index("prompt"))
        content = bytearray(path.read_bytes())
        start = prompt.dictionary_page_offset or prompt.data_page_offset
        content[start : start + prompt.total_compressed_size] = (
            b"\xff" * prompt.total_compressed_size
        )
        path.write_bytes(content)
    app = open_page("compare", store)
    assert not app.exception
    assert list(tables(app)[0]["figure"]) == ["answers · exact_match"]
    assert "samples of this task cannot be read" in texts(app)
