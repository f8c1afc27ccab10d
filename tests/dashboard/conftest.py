"""Stores and the two ways to open the dashboard on them: as a script and in a browser."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from evalkit.paths import bundled
from evalkit.results import Store
from tests.dashboard.content import add_verdicts, enrich
from tests.stores import HOSTILE, make_store


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    """AppTest puts the page in the place of the main module, which processes made later import."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An early and a late run over five tasks."""
    return add_verdicts(enrich(make_store(tmp_path_factory.mktemp("store"), n=40)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The same with texts that try to be a script, an image, a link, a formula, a terminal."""
    folder = tmp_path_factory.mktemp("hostile")
    store = make_store(folder, n=12, hostile=True)
    add_verdicts(enrich(store, HOSTILE[0]), f"{HOSTILE[0]} {HOSTILE[1]} {HOSTILE[2]} {HOSTILE[3]}")
    for run in folder.glob("2026*"):
        _spoil(run)
    return store


def _spoil(run):
    """Put hostile strings into the names that a run gives to itself, its tags, suites, families."""
    record = json.loads((run / "run.json").read_text())
    record["name"] = f"{HOSTILE[0]}{HOSTILE[1]} {record['name']}"
    record["model"]["name"] = HOSTILE[3]
    record["tags"] = {"note": HOSTILE[1], HOSTILE[0]: HOSTILE[3]}
    record["suites"] = {HOSTILE[0]: list(record["tasks"])}
    for task in record["tasks"].values():
        task |= {"source": HOSTILE[1], "version": HOSTILE[2]}
    (run / "run.json").write_text(json.dumps(record))
    scores = pq.read_table(run / "scores.parquet")
    families = pa.array([HOSTILE[i % 5] for i in range(len(scores))])
    column = scores.schema.get_field_index("family")
    pq.write_table(scores.set_column(column, "family", families), run / "scores.parquet")


@pytest.fixture
def open_page(monkeypatch):
    """Opens a page of the app on a store, as a link with these values in its URL would."""
    monkeypatch.syspath_prepend(str(bundled("dashboard")))

    def open_page(page, store, /, **query):
        monkeypatch.setenv("EVALKIT_STORE", store.url if isinstance(store, Store) else str(store))
        app = AppTest.from_file(bundled("dashboard") / "app.py", default_timeout=30)
        if page != "leaderboard":
            app.run()
            app.switch_page(f"views/{page}.py")
        app.query_params.update(query)
        return app.run()

    return open_page
