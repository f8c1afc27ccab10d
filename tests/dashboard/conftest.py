"""Stores and the two ways to open the dashboard on them: as a script and in a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from evalkit.paths import bundled
from evalkit.results import Store
from tests.stores import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An early and a late run over five tasks."""
    return make_store(tmp_path_factory.mktemp("store"), n=40)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The same with texts that try to be a script, an image, a link, a formula, a terminal."""
    return make_store(tmp_path_factory.mktemp("hostile"), n=12, hostile=True)


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
