"""The fleet: workers, and the jobs that they share.

One thread in the driver hands chunks to idle workers and takes their answers. A worker holds one
checkpoint and stays with it as long as there are chunks; then it goes to the largest job that
nobody has begun, and where there is none, helps where the help is worth the loading.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from evalkit.engine.fleet.cut import Cutter, Work
from evalkit.engine.fleet.job import Job
from evalkit.engine.fleet.pace import Limits
from evalkit.engine.fleet.seat import Seat, cause_of, in_words
from evalkit.engine.fleet.worker import Asked, EngineMaker, Loaded, Place, versions
from evalkit.errors import EvalkitError, EvaluationError
from evalkit.types import Request

_TICK_S = 0.2


class Fleet:
    """Workers on a Ray that is connected already.

    Args:
        workers: How many.
        options: What Ray is to reserve for each, as `ray.remote` takes it.
        device: What they compute on.
        threads: For the linear algebra of each on a CPU.
        make: Makes a worker's engine of a checkpoint; by default the local one.
        limits: How chunks are dealt with.
        leave: Called when the workers are stopped.
    """

    def __init__(
        self,
        workers: int,
        options: dict[str, Any],
        device: str = "cpu",
        threads: int | None = None,
        make: EngineMaker | None = None,
        limits: Limits | None = None,
        leave: Callable[[], None] | None = None,
    ) -> None:
        self.device = device
        self._leave = leave
        self.limits = limits or Limits()
        self._versions = versions()
        self._seats = [Seat(options, make, threads) for _ in range(workers)]
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_open = True
        self._stopped: BaseException | None = None
        self._alone_since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._thread.start()

    @property
    def seats(self) -> int:
        """How many workers there are to be."""
        return len(self._seats)

    @property
    def workers(self) -> int:
        """How many workers are there now."""
        return sum(seat.place is not None for seat in self._seats)

    @property
    def nodes(self) -> int:
        """On how many nodes they are."""
        return len(self._node_ids())

    @property
    def problems(self) -> list[str]:
        """Why seats were given up."""
        return [seat.problem for seat in self._seats if seat.problem]

    def open(self, asked: Asked) -> tuple[Job, Loaded]:
        """Have a worker load a checkpoint; it waits for the job's chunks.

        Raises:
            DataError: It cannot be loaded.
            UsageError: There is no such device or dtype.
            EvaluationError: No worker can be had.
        """
        job = Job(asked, self.limits)
        with self._lock:
            self._jobs.append(job)
            if self._stopped is not None:
                job.fail(self._stopped)
        self._wake.set()
        event = job.outbox.get()
        if isinstance(event, Loaded):
            return job, event
        self.drop(job)
        raise event if isinstance(event, BaseException) else AssertionError(event)

    def begin(self, job: Job, requests: Sequence[Request], cutters: dict[Work, Cutter]) -> None:
        """Hand out a job's requests from now on; its outbox gets the answers, and None at last."""
        with self._lock:
            job.begin(requests, cutters)
        self._wake.set()

    def drop(self, job: Job) -> None:
        """Ask nothing more of a job; what is under way ends without a listener."""
        with self._lock:
            job.fail(EvaluationError("dropped"))
            if job in self._jobs:
                self._jobs.remove(job)

    def stop(self, reason: BaseException) -> None:
        """End all jobs, and those to come, with a reason."""
        with self._lock:
            self._stopped = reason
            for job in self._jobs:
                job.fail(reason)

    def close(self) -> None:
        """Stop the workers."""
        self._is_open = False
        self._wake.set()
        self._thread.join()
        if self._leave is not None:
            self._leave()
            self._leave = None

    def _run(self) -> None:
        try:
            while self._is_open:
                self._step()
        except Exception as error:  # Ray's own, when the cluster itself is gone
            reason = next(iter(str(error).splitlines()), "")
            ended = EvaluationError(
                f"The fleet has ended ({type(error).__name__}: {reason}); what was answered is "
                "kept, go on with the same command and --resume auto."
            )
            ended.__cause__ = error
            self.stop(ended)
        finally:
            for seat in self._seats:
                with suppress(Exception):
                    seat.stop()

    def _step(self) -> None:
        import ray

        with self._lock:
            for seat in self._seats:
                if seat.is_idle:
                    self._hand_out(seat)
            under_way = {seat.ref: seat for seat in self._seats if seat.ref is not None}
        refs = list(under_way)
        done: list[Any] = []
        if refs:
            done, _ = ray.wait(refs, timeout=_TICK_S)
            done, _ = ray.wait(refs, num_returns=len(refs), timeout=0) if done else (done, refs)
        else:
            self._wake.wait(_TICK_S)
            self._wake.clear()
        with self._lock:
            for ref in done:
                self._take(under_way[ref], ref)
            for seat in self._seats:
                if seat.hangs:
                    self._failed(seat, f"a worker gave no answer in {seat.limit_s:.0f} s")
            self._see_to_it_that_somebody_is_there()

    def _hand_out(self, seat: Seat) -> None:
        """Give an idle worker something to do, if there is anything that pays."""
        own = seat.job
        if own is not None and not own.is_over and own.is_opening:
            return
        nodes = self._node_ids()
        for job in self._worth(seat):
            if seat.is_stale:
                seat.ping()
                return
            if not job.is_loaded:
                seat.load(job)
                return
            sharing = self._sharing(job, seat)
            chunk = job.next_chunk(sharing, _node(seat), nodes, seat.is_proven)
            if chunk is not None:
                seat.answer(job, chunk)
                return

    def _worth(self, seat: Seat) -> Iterator[Job]:
        """Jobs that a worker may turn to, the best first; the others are not even looked at."""
        own = seat.job
        if own is not None and not own.is_over and own.has_work:
            yield own
        busy = {id(other.job) for other in self._seats if other.ref is not None}
        open_jobs = [job for job in self._jobs if not job.is_over]
        fresh = [job for job in open_jobs if id(job) not in busy and job is not seat.job]
        fresh = [job for job in fresh if job.has_work or not job.is_loaded]
        fresh.sort(key=lambda job: -job.asked.parameters * max(job.left_tokens(), 1.0))
        yield from fresh
        begun = [job for job in open_jobs if id(job) in busy and job is not seat.job]
        begun = [job for job in begun if job.has_work and self._help_pays(job)]
        begun.sort(key=lambda job: -(job.left_s() or 0.0) / self._holders(job))
        yield from begun

    def _help_pays(self, job: Job) -> bool:
        """Whether a further worker would be done loading before the work is done without it."""
        left = job.left_s()
        return left is None or left / self._holders(job) > (job.load_s or 0.0)

    def _holders(self, job: Job) -> int:
        return max(1, sum(seat.job is job for seat in self._seats))

    def _sharing(self, job: Job, seat: Seat) -> int:
        """Workers that will share what is left of a job; all of them, where it is the only one."""
        if sum(not other.is_over for other in self._jobs) == 1:
            return max(1, sum(s.place is not None for s in self._seats))
        return max(1, sum(s.job is job for s in self._seats if s is not seat) + 1)

    def _take(self, seat: Seat, ref: Any) -> None:
        """Take what a worker answered."""
        import ray

        try:
            result = ray.get(ref)
        except Exception as error:  # Ray raises the worker's own exceptions
            self._could_not(seat, error)
            return
        job, chunk = seat.job, seat.chunk
        if isinstance(result, Place):
            self._arrived(seat, result)
        elif job is not None:
            seat.rest()
            if isinstance(result, Loaded):
                job.loaded(result)
            elif chunk is not None and not job.is_over:
                job.take(chunk, result, _node(seat))

    def _arrived(self, seat: Seat, place: Place) -> None:
        seat.rest()
        differing = [
            f"{name} {found}, not {self._versions[name]}"
            for name, found in place.versions.items()
            if found != self._versions[name]
        ]
        if differing:
            seat.give_up(f"The node {place.host} has {' and '.join(differing)}.")
            return
        seat.place = place

    def _could_not(self, seat: Seat, error: Exception) -> None:
        """A worker did not start, did not load, or died."""
        cause = cause_of(error)
        job = seat.job
        if isinstance(cause, EvalkitError) and job is not None and not job.is_loaded:
            job.fail(cause)  # as on one machine, no sample is to blame
            seat.replace(is_its_own_fault=False)
            return
        is_own = seat.place is None or isinstance(cause, EvalkitError)
        self._failed(seat, in_words(error), is_its_own_fault=is_own)

    def _failed(self, seat: Seat, reason: str, *, is_its_own_fault: bool = False) -> None:
        job, chunk, node = seat.job, seat.chunk, _node(seat)
        host = seat.place.host if seat.place else ""
        was_at_work = not seat.is_pinged
        seat.replace(is_its_own_fault=is_its_own_fault)
        if seat.is_given_up:
            where = f"on {host} " if host else ""
            seat.problem = f"A worker {where}was given up: {reason}."
        if job is None or job.is_over or not was_at_work:
            return
        if chunk is not None:
            job.failed(chunk, reason, node)
            return
        job.failed_to_load(reason)

    def _see_to_it_that_somebody_is_there(self) -> None:
        """End all jobs where no worker is left, or none comes."""
        if any(seat.place is not None for seat in self._seats):
            self._alone_since = time.monotonic()
            return
        if all(seat.is_given_up for seat in self._seats):
            reason = self.problems[0]
        elif time.monotonic() - self._alone_since > self.limits.start_s:
            reason = f"none started in {self.limits.start_s:.0f} s; is there room in the cluster?"
        else:
            return
        for job in self._jobs:
            job.fail(EvaluationError(f"The fleet has no worker any more: {reason}"))

    def _node_ids(self) -> set[str]:
        # Runs ask from threads of their own: a place may be gone between two looks at it.
        places = [seat.place for seat in self._seats]
        return {place.node for place in places if place is not None}


def _node(seat: Seat) -> str:
    return seat.place.node if seat.place is not None else ""
