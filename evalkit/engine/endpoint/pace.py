"""When requests leave: evenly spaced for a server that allows so many a minute."""

import asyncio
import time
from contextvars import ContextVar

SENT_AT: ContextVar[float | None] = ContextVar("SENT_AT", default=None)
"""On the monotonic clock, when this task's request first left, and what later tries waited here."""


class Pace:
    """Lets requests go evenly spaced, each try counted: called by httpx before it sends one.

    Args:
        per_minute: Most requests a minute; infinite for no limit.
    """

    def __init__(self, per_minute: float) -> None:
        self._gap_s = 60 / per_minute
        self._next = 0.0

    async def __call__(self, _request: object) -> None:
        """Wait for the next free moment, and note when the first one came."""
        now = time.monotonic()
        moment = max(now, self._next)
        self._next = moment + self._gap_s
        await asyncio.sleep(moment - now)
        first = SENT_AT.get()
        # What a later try waits here is no time of the server's.
        SENT_AT.set(time.perf_counter() if first is None else first + moment - now)
