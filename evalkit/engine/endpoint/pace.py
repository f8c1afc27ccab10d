"""When requests leave: evenly spaced for a server that allows so many a minute."""

import asyncio
import time
from contextvars import ContextVar

LEFT_S: ContextVar[float] = ContextVar("LEFT_S")
"""On the monotonic clock, when this task's newest request went to the server."""


class Pace:
    """Lets requests go evenly spaced, each try counted: called by httpx before it sends one.

    Args:
        per_minute: Most requests a minute; infinite for no limit.
    """

    def __init__(self, per_minute: float) -> None:
        self._gap_s = 60 / per_minute
        self._next = 0.0

    async def __call__(self, _request: object) -> None:
        """Wait for the next free moment, and note when it came."""
        now = time.monotonic()
        moment = max(now, self._next)
        self._next = moment + self._gap_s
        await asyncio.sleep(moment - now)
        LEFT_S.set(time.perf_counter())
