"""`evalkit dashboard`: what it starts, and what it refuses."""

import contextlib
import importlib.util
import socket
import urllib.error
import urllib.request

import pytest

from evalkit.cli import dashboard
from evalkit.paths import bundled
from tests.dashboard.browser import serving


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


@pytest.mark.parametrize("host", ["nonsense", "not a host", "300.1.2.3", "\u00e4" * 70, ""])
def test_a_host_that_is_none_is_one_sentence(evalkit_command, started, store, host):
    outcome = evalkit_command("dashboard", "--store", store.url, "--host", host)
    assert outcome.code == 2
    assert "is no address or name of this machine" in outcome.err
    assert outcome.err.count("\n") == 1
    assert started == []


def test_an_address_of_another_machine_is_one_sentence(evalkit_command, started, store):
    outcome = evalkit_command("dashboard", "--store", store.url, "--host", "192.0.2.1")
    assert outcome.code == 2
    assert "cannot listen on 192.0.2.1:8501" in outcome.err
    assert outcome.err.count("\n") == 1
    assert started == []


def test_a_port_in_use_is_one_sentence(evalkit_command, started, store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = evalkit_command("dashboard", "--store", store.url, "--port", port)
    assert outcome.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in outcome.err
    assert "--port" in outcome.err
    assert started == []


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


def test_it_asks_no_service_for_the_address_of_this_machine(store):
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        settings = {"http_proxy": address, "https_proxy": address, "no_proxy": "127.0.0.1"}
        with serving(store.url, "--host", "0.0.0.0", **settings) as (url, _):
            asked = urllib.request.Request(
                f"{url}/_stcore/stream",
                headers={"Origin": "http://elsewhere.example", "Upgrade": "websocket"},
            )
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(asked)
            with pytest.raises(BlockingIOError):
                proxy.accept()
