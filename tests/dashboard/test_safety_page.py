"""The Safety page: figures of the store, worst examples only when asked for."""

import re

import pytest

from tests.dashboard.shown import blocks, charts, markup, tables, texts
from tests.results.test_safety import put_in_family
from tests.stores import HOSTILE, make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"
FAMILIES = {"facts": "factuality", "answers": "toxicity"}


@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("s"), tasks=["facts", "answers"], n=30)
    return put_in_family(store, FAMILIES)


def test_the_figures_are_those_of_the_store(open_page, safe):
    app = open_page("safety", safe, a=LATE, b=EARLY)
    assert not app.exception
    table = tables(app)[0].set_index("figure")
    for place, run in enumerate((LATE, EARLY)):
        score = safe.scores([run], task="facts", metric="acc").iloc[0]
        shown = [
            float(text) for text in re.findall(r"[\d.]+", table.loc["facts · acc ↑", f"run{place}"])
        ]
        assert shown == pytest.approx([score["value"], score["ci_low"], score["ci_high"]], abs=5e-4)
    assert list(table["family"]) == ["toxicity", "factuality", "factuality"]


def test_categories_are_drawn_and_examples_wait_for_a_click(open_page, safe):
    app = open_page("safety", safe, of="facts · acc_norm")
    assert len(charts(app)) == 1
    assert not blocks(app)
    shown = open_page("safety", safe, of="facts · acc_norm", worst="true")
    samples = safe.samples(LATE, "facts")
    wrong = [row.doc_id for row in samples.itertuples() if row.statistics["acc_norm"][0] == 0][:5]
    assert [int(n) for n in re.findall(r"Sample (\d+)", texts(shown))] == wrong
    assert samples["prompt"][wrong[0]] in blocks(shown)


def test_a_figure_without_categories(open_page, safe):
    app = open_page("safety", safe, of="answers · exact_match")
    assert "have no categories" in texts(app)


def test_a_store_without_such_tasks(open_page, tmp_path):
    make_store(tmp_path, tasks=["facts"], n=8)
    assert "families bias, toxicity, factuality" in texts(open_page("safety", tmp_path))


def test_hostile_examples_stay_text(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["answers"], n=12, hostile=True)
    app = open_page("safety", put_in_family(store, FAMILIES), worst="true")
    assert not app.exception
    read_as_markup = [element.value for kind in (app.markdown, app.caption) for element in kind]
    assert not any(nasty and nasty in text for nasty in HOSTILE for text in read_as_markup)
    assert any("<script>" in block for block in blocks(app))
    assert not any("<script" in body for body in markup(app))


def test_damaged_samples_are_a_sentence(open_page, tmp_path):
    store = put_in_family(make_store(tmp_path, tasks=["facts"], n=8), FAMILIES)
    for path in tmp_path.glob("*/samples/facts.parquet"):
        path.write_bytes(b"PAR1")
    app = open_page("safety", store)
    assert not app.exception
    assert "cannot be read" in texts(app)
