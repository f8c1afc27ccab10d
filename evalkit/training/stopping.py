"""Lets Ctrl-C and a scheduler's SIGTERM end a training after a step, with a checkpoint."""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Notes the first signal to stop; a second one stops at once.

    Attributes:
        is_raised: Whether there was one.
    """

    def __init__(self) -> None:
        self.is_raised = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_raised = True
        self.__exit__()
