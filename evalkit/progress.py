"""Progress on stderr: a bar on a terminal, a line a minute in a log."""

import io
import sys
import threading
from typing import Any

from tqdm import tqdm

WANTED_AFTER_S = 1.0
LINE_EVERY_S = 60.0


def progress_bar(
    total: int | None, label: str, unit: str, *, done: int = 0, show: bool = True, **looks: Any
) -> "tqdm[Any]":
    """A bar for `total` units of which some are `done`; use it in a `with` and `update` it.

    It shows once the work has taken a while. Where stderr is no terminal (a pipe, the log of a
    job), it writes a line a minute and draws nothing over. Of work that goes on side by side,
    each in a thread, none shows one.
    """
    looks |= {"file": sys.stderr, "delay": WANTED_AFTER_S}
    if not sys.stderr.isatty():
        often = dict.fromkeys(("delay", "mininterval", "maxinterval"), LINE_EVERY_S)
        looks |= {"file": _Lines(), **often}
    return tqdm(
        total=total,
        desc=label,
        unit=unit,
        initial=done,
        leave=False,
        disable=not show or threading.current_thread() is not threading.main_thread(),
        **looks,
    )


class _Lines(io.TextIOBase):
    """Takes what tqdm draws over the line before, and writes it below."""

    def write(self, text: str) -> int:
        if text.strip():
            sys.stderr.write(f"{text.strip()}\n")
        return len(text)
