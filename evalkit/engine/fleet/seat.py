"""A seat: one place for a worker in the cluster, in which a new one starts where one is lost."""

import re
import time
from typing import Any

from evalkit.engine.fleet.job import Chunk, Job
from evalkit.engine.fleet.worker import EngineMaker, Place, Worker
from evalkit.errors import EvalkitError, say

_NODE_DIED = re.compile(r"node\b[^.]*\b(?:died|dead|terminated|failed)", re.IGNORECASE)
_STALE_S, _PING_S = 2.0, 60.0
_STARTS = 3
"""Times in a row that a worker may fail to start, or to load, before its seat is given up."""


class Seat:
    """One place for a worker.

    Args:
        options: What Ray is to reserve for the worker.
        make: Makes the worker's engine.
        threads: For its linear algebra.

    Attributes:
        ref: What is under way: the worker's start, a load, a chunk; None where it is idle.
        place: Where its worker is; None while it starts.
        job: Whose checkpoint the worker holds, or loads.
        chunk: Under way; None while it loads or starts.
        is_pinged: Whether what is under way only asks if it is there.
        is_proven: Whether its worker has answered a chunk.
        misses: Starts and loads that failed since a load or a chunk went well.
        problem: Why the seat was given up; empty while it is in use.
    """

    def __init__(
        self, options: dict[str, Any], make: EngineMaker | None, threads: int | None
    ) -> None:
        import ray

        self._options = options
        self._arguments = (make, threads)
        self._class = ray.remote(Worker)
        self.misses = 0
        self.problem = ""
        self.ref: Any = None
        self.start()

    def start(self) -> None:
        """Start a worker."""
        actor = self._class.options(max_restarts=0, max_task_retries=0, **self._options)
        self._actor = actor.remote(*self._arguments)
        self.place: Place | None = None
        self.is_proven = self.is_pinged = False
        self.job: Job | None = None
        self.chunk: Chunk | None = None
        self._began = self._heard = time.monotonic()
        self._limit_s = float("inf")
        self.ref = self._actor.place.remote()

    def ping(self) -> None:
        """Ask an idle worker whether it is still there, before a chunk is risked on it."""
        self._began, self._limit_s = time.monotonic(), _PING_S
        self.is_pinged = True
        self.ref = self._actor.place.remote()

    @property
    def is_stale(self) -> bool:
        """Whether the worker has been idle for so long that it may be gone unnoticed."""
        return time.monotonic() - self._heard > _STALE_S

    def load(self, job: Job) -> None:
        """Have the worker load a job's checkpoint."""
        self._ask(job, None)
        self.ref = self._actor.load.remote(job.asked)

    def answer(self, job: Job, chunk: Chunk) -> None:
        """Have the worker answer a chunk."""
        self._ask(job, chunk)
        self.ref = self._actor.answer.remote(job.asked, job.requests_of(chunk))

    def rest(self) -> None:
        """What was under way has ended well."""
        self.is_proven = self.is_proven or self.chunk is not None
        if self.job is not None:  # or a worker that starts but cannot load would start for ever
            self.misses = 0
        self.ref, self.chunk, self.is_pinged = None, None, False
        self._heard = time.monotonic()

    def replace(self, *, is_its_own_fault: bool) -> None:
        """Kill the worker and start another one, unless too many failed here."""
        self.stop()
        if is_its_own_fault:
            self.misses += 1
        if self.misses < _STARTS:
            self.start()

    def stop(self) -> None:
        """Kill the worker."""
        import ray

        self.ref = self.place = self.job = self.chunk = None
        ray.kill(self._actor, no_restart=True)

    def give_up(self, problem: str) -> None:
        """Start no worker here any more."""
        self.stop()
        self.misses, self.problem = _STARTS, problem

    @property
    def is_given_up(self) -> bool:
        """Whether no worker is to be started here any more."""
        return self.misses >= _STARTS

    @property
    def is_idle(self) -> bool:
        """Whether its worker waits."""
        return self.ref is None and self.place is not None

    @property
    def hangs(self) -> bool:
        """Whether the worker has taken longer than it may."""
        return self.ref is not None and time.monotonic() - self._began > self._limit_s

    @property
    def limit_s(self) -> float:
        """Seconds that the worker may take for what is under way."""
        return self._limit_s

    def _ask(self, job: Job, chunk: Chunk | None) -> None:
        self._limit_s = job.limit_s(chunk, loads=self.job is not job)
        self._began = time.monotonic()
        self.job, self.chunk = job, chunk


def in_words(error: BaseException) -> str:
    """Why a call to a worker failed."""
    from ray import exceptions

    text = str(error)
    if isinstance(error, exceptions.OutOfMemoryError):
        return "memory ran out on a worker's node"
    if isinstance(error, exceptions.RayActorError):
        return "a worker's node left" if _NODE_DIED.search(text) else "a worker was killed"
    if isinstance(error, exceptions.RayTaskError):
        error = error.cause
    if isinstance(error, MemoryError):
        return "memory ran out"
    if isinstance(error, EvalkitError):
        return str(error).rstrip(".")
    return say(error)


def cause_of(error: BaseException) -> BaseException:
    """The worker's own exception behind Ray's."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error
