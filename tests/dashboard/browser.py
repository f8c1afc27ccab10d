"""The dashboard as a reader has it: served by its own command, seen in a headless Chromium."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tests.ports import free_port

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """Path of Chromium, or None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def browsing() -> Iterator[Any]:
    """A browser with an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def kept_browser(viewport: dict[str, int]) -> Iterator[Any]:
    """A browser whose profile, empty at first, lasts while the block does: a reader's own.

    Unlike the contexts of `browsing` it keeps what it has compiled of a page's scripts.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium(), args=FLAGS, viewport=viewport
        )
        try:
            yield context
        finally:
            context.close()


@contextlib.contextmanager
def served(store: str | Path, **environment: str) -> Iterator[str]:
    """URL of `evalkit dashboard` on a store, for as long as the block lasts."""
    with serving(store, **environment) as (url, _):
        yield url


@contextlib.contextmanager
def serving(store: str | Path, *options: str, **environment: str) -> Iterator[tuple[str, int]]:
    """As `served`, with further options of the command, and with the id of its process."""
    port = free_port()
    command = [sys.executable, "-c", "from evalkit.cli import main; main()", "dashboard"]
    command += ["--store", str(store), "--port", str(port), *options]
    with started(command, port, **environment) as server:
        yield server


@contextlib.contextmanager
def started(command: list[str], port: int, **environment: str) -> Iterator[tuple[str, int]]:
    """URL and process id of a Streamlit server that a command starts on a port."""
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            yield _ready(f"http://127.0.0.1:{port}", server, said), server.pid
        finally:
            server.terminate()
            server.wait(timeout=20)


def _ready(url: str, server: subprocess.Popen[bytes], said: IO[str]) -> str:
    """The URL, once the server answers there."""
    for _ in range(300):
        if server.poll() is not None:
            said.seek(0)
            raise RuntimeError(f"the dashboard ended with {server.returncode}: {said.read()}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health"):
            return url
        time.sleep(0.1)
    raise RuntimeError("the dashboard did not start within 30 seconds")


def settled(page: Any) -> None:
    """Wait until a page is drawn and its script has ended, also one that began meanwhile."""
    page.wait_for_selector("h1", timeout=20_000)
    for _ in range(2):
        page.wait_for_function(
            "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState"
            " === 'notRunning' && !document.querySelector('[data-testid=stSkeleton]')",
            timeout=20_000,
        )
        page.wait_for_timeout(150)
