"""`evalkit dashboard`: what it starts, and what it refuses."""

import importlib.util

import pytest

from evalkit.cli import dashboard
from evalkit.paths import bundled


@pytest.fixture
def started(monkeypatch):
    """What would have been started: the command and its environment."""
    seen = []
    monkeypatch.setattr(dashboard, "_serve", lambda *call: seen.append(call))
    return seen


def test_it_serves_the_store_on_loopback_and_tells_nobody(evalkit_command, started, store):
    outcome = evalkit_command("dashboard", "--store", store.url, "--port", "8600")
    assert outcome.code == 0
    assert "http://127.0.0.1:8600" in outcome.err
    (command, environment), *_ = started
    assert str(bundled("dashboard") / "app.py") in command
    assert "--server.address=127.0.0.1" in command
    assert "--browser.gatherUsageStats=false" in command
    assert "--server.headless=true" in command
    assert environment["EVALKIT_STORE"] == store.url
    assert "EVALKIT_DASHBOARD_TOKEN" not in environment


def test_beyond_this_machine_it_asks_for_a_token(evalkit_command, started, store, monkeypatch):
    for _ in range(2):
        assert evalkit_command("dashboard", "--store", store.url, "--host", "0.0.0.0").code == 0
    tokens = [environment["EVALKIT_DASHBOARD_TOKEN"] for _, environment in started]
    assert tokens[0] != tokens[1]
    assert all(len(token) >= 32 for token in tokens)
    monkeypatch.setenv("EVALKIT_DASHBOARD_TOKEN", "of my own")
    outcome = evalkit_command("dashboard", "--store", store.url, "--host", "::")
    assert started[-1][1]["EVALKIT_DASHBOARD_TOKEN"] == "of my own"
    assert "of my own" not in outcome.err


def test_a_store_that_is_not_there(evalkit_command, started, tmp_path):
    outcome = evalkit_command("dashboard", "--store", tmp_path / "none")
    assert outcome.code == 2
    assert "There is no store at" in outcome.err
    assert "evalkit run" in outcome.err
    assert outcome.err.count("\n") == 1
    assert started == []
    assert not (tmp_path / "none").exists()


def test_without_streamlit(evalkit_command, started, store, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "streamlit" else find(name)
    )
    outcome = evalkit_command("dashboard", "--store", store.url)
    assert outcome.code == 2
    assert "pip install 'evalkit[dashboard]'" in outcome.err
    assert started == []
