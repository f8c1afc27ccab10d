"""Tells a command or a webhook that the gate's outcome has turned."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from urllib import request
from urllib.parse import urlsplit

from evalkit.errors import UsageError
from evalkit.redact import without_secrets
from evalkit.watching.ledger import Turn

_COMMAND_S, _WEBHOOK_S = 300.0, 10.0

Teller = Callable[[Turn], None]


def tellers(command: str | None, webhook: str | None) -> dict[str, Teller]:
    """Those who are to be told, by what the ledger calls them.

    Raises:
        UsageError: The command is not there, or the webhook is no http URL.
    """
    found: dict[str, Teller] = {}
    if command is not None:
        words = _words(command)
        found["command"] = lambda turn: _call(words, turn)
    if webhook is not None:
        if urlsplit(webhook).scheme not in ("http", "https"):
            raise UsageError(f"--webhook {without_secrets(webhook)!r} is no http or https URL.")
        found["webhook"] = lambda turn: _post(webhook, turn)
    return found


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--on-turn {command!r}: {error}.") from error
    if not words or shutil.which(words[0]) is None:
        raise UsageError(f"--on-turn {command!r}: there is no such command.")
    return words


def _call(words: list[str], turn: Turn) -> None:
    """Run the command, the turn as JSON on its stdin and in variables EVALKIT_*."""
    values = {f"EVALKIT_{name.upper()}": value for name, value in turn.model_dump().items()}
    subprocess.run(  # noqa: S603 - the user's own command, split without a shell
        words,
        input=turn.model_dump_json().encode(),
        env={**os.environ, **values},
        stdout=subprocess.DEVNULL,
        timeout=_COMMAND_S,
        check=True,
    )


def _post(url: str, turn: Turn) -> None:
    asked = request.Request(  # noqa: S310 - http or https, see above
        url, turn.model_dump_json().encode(), {"Content-Type": "application/json"}
    )
    request.urlopen(asked, timeout=_WEBHOOK_S).close()  # noqa: S310
