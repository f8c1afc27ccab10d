"""`evalkit dashboard`."""

import importlib.util
import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note
from evalkit.errors import UsageError
from evalkit.paths import bundled

_TOKEN = "EVALKIT_DASHBOARD_TOKEN"  # noqa: S105 - a variable's name


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("dashboard")(dashboard)


def dashboard(
    store: options.Store = options.DEFAULT_STORE,
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine a token is asked for.")
    ] = "127.0.0.1",
) -> None:
    """Browse a store in the browser: leaderboard, comparisons, samples, tasks."""
    if importlib.util.find_spec("streamlit") is None:
        raise UsageError("The dashboard needs Streamlit: pip install 'evalkit[dashboard]'.")
    _check_store(store)
    _check_address(host, port)
    # A second thread of numpy's would wait busily on the core that the browser draws with.
    environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ, "EVALKIT_STORE": store}
    if _is_loopback(host):
        environment.pop(_TOKEN, None)
    else:
        environment[_TOKEN] = os.environ.get(_TOKEN) or _new_token()
    note(f"Serving {store} at http://{_shown(host)}:{port}; stop with Ctrl-C.")
    _serve(server_command(bundled("dashboard") / "app.py", host, port), environment)


def _new_token() -> str:
    token = secrets.token_urlsafe(24)
    note(f"The dashboard asks for this token: {token} (set {_TOKEN} to choose your own)")
    return token


def _check_store(store: str) -> None:
    from evalkit.results import Store

    opened = Store(store)
    if not opened.filesystem.exists(opened.root):
        raise UsageError(
            f"There is no store at {store}; make one with 'evalkit run --store {store}' "
            "or 'evalkit demo', or name another with --store."
        )


def _check_address(host: str, port: int) -> None:
    """Listen for a moment where the server will, so that what is wrong is said in a sentence."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise UsageError(
            f"--host {host} is no address or name of this machine; give one such as 127.0.0.1, "
            "or 0.0.0.0 for all of its addresses."
        ) from None
    try:
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise UsageError(
            f"The dashboard cannot listen on {_shown(host)}:{port}: {error.strerror}; choose "
            "another --port or --host."
        ) from None


def server_command(app: Path, host: str, port: int) -> list[str]:
    """What serves a Streamlit app as the dashboard is served."""
    folder = bundled("dashboard")
    settings = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "false" if _has_screen() else "true",
        "server.fileWatcherType": "none",
        # The pages rely on none of its rewriting of their source, which costs each visit time.
        "runner.magicEnabled": "false",
        # A full collection after every page holds its last message back for a third of a second.
        "runner.postScriptGC": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "theme.base": str(folder / "theme.toml"),
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    if _is_loopback(host):
        # A web page elsewhere must not reach the store through a name that points here.
        flags += [f"--server.allowedHosts={name}" for name in ("localhost", host)]
    return [sys.executable, str(folder / "serve.py"), "run", str(app), *flags]


def _serve(command: list[str], environment: dict[str, str]) -> None:
    """Run the server until it ends; Ctrl-C reaches it too and is no failure.

    Raises:
        UsageError: It could not start.
    """
    with subprocess.Popen(command, env=environment) as server:  # noqa: S603 - our own command
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        try:
            code = server.wait()
        except KeyboardInterrupt:
            server.wait()
            code = 0
    if code > 0:
        raise UsageError("The dashboard's server did not start; its own message stands above.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _has_screen() -> bool:
    """Whether a browser can be opened here: not in CI, not over ssh without a display."""
    if sys.platform in ("win32", "darwin"):
        return sys.stdout.isatty()
    return sys.stdout.isatty() and bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
