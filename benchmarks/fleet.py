"""The fleet's own cost: an engine that sleeps for a known time, on Ray, on this machine.

    python -m benchmarks.fleet [--workers 1,2,8,32] [--actors 1,8,32,200] [--seconds 30]

Measures what handing out a chunk costs, how well workers are kept busy, and how many responses a
second the one driver takes, journal included; from these it works out what 1,000 accelerators and
10,000 checkpoints would saturate first. Writes reports/fleet.md. The workers reserve no core, so
that there may be more of them than cores: they sleep.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fleet_report import CHUNK_S, Busy, Ceiling, report
from evalkit.engine.fleet import Fleet
from evalkit.engine.fleet.cluster import connect, disconnect
from evalkit.engine.fleet.cut import Cutter, Work
from evalkit.engine.fleet.pace import Limits
from evalkit.engine.fleet.worker import Asked
from evalkit.runner.journal import Header, Journal, request_keys
from evalkit.types import Request, RequestKind, Response

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "reports" / "fleet.md"
TOKENS = 64.0
REQUEST_S = 0.01
RESPONSES = 50_000
OVERHEAD_LIMIT, EFFICIENCY_LIMIT = 0.10, 0.85


class SleepingEngine:
    """Answers after a nap, whose length for each request stands in the checkpoint's name."""

    device_name, max_length, cut = "cpu", 1024, 0

    def __init__(self, asked: Asked) -> None:
        self.seconds = float(asked.path.partition("/")[0])
        self.remarks: list[str] = []
        self.settings: dict[str, object] = {}

    def respond(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Response]]]:
        """The same answer to each request, after the time that all of them take."""
        time.sleep(self.seconds * len(requests))
        response = Response(-12.5, False, prompt_tokens=60, output_tokens=4)
        yield [(index, response) for index in range(len(requests))]


def questions(count: int) -> list[Request]:
    context = "Question: What did the baker sell at the market of the old town? Answer:" * 3
    return [
        Request(RequestKind.LOGLIKELIHOOD, f"{i} {context}", f" bread {i}") for i in range(count)
    ]


def asked(name: str) -> Asked:
    return Asked(name, None, (), "cpu", "float32", None, name, name, 1000, 4000)


@contextmanager
def fleet_of(workers: int) -> Iterator[Fleet]:
    """A fleet, all of whose workers are there."""
    fleet = Fleet(workers, {"num_cpus": 0}, make=SleepingEngine)
    try:
        while fleet.workers < workers:
            time.sleep(0.2)
        yield fleet
    finally:
        fleet.close()


def ask(
    fleet: Fleet, requests: Sequence[Request], seconds: float, chunk_s: float, keep: Any = None
) -> tuple[float, int]:
    """Seconds until all are answered, and how many chunks they came in.

    Args:
        fleet: The workers.
        requests: What is asked.
        seconds: Each request takes.
        chunk_s: Aim of a chunk.
        keep: Takes each chunk's answers.
    """
    fleet.limits = Limits(chunk_s=chunk_s)
    job, _ = fleet.open(asked(f"{seconds}/{time.monotonic_ns()}"))
    size = len(requests)
    cutter = Cutter(range(size), [0] * size, [TOKENS] * size, [True] * size)
    started, chunks = time.perf_counter(), 0
    fleet.begin(job, requests, {Work.SCORED: cutter})
    while (event := job.outbox.get()) is not None:
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, list):
            chunks += 1
            if keep is not None:
                keep(event)
    took = time.perf_counter() - started
    fleet.drop(job)
    return took, chunks


def measure_busy(fleet: Fleet, seconds: float) -> Busy:
    """Workers that share `seconds` of work for each of them, in chunks of `CHUNK_S`."""
    requests = questions(round(fleet.seats * seconds / REQUEST_S))
    wall, chunks = ask(fleet, requests, REQUEST_S, CHUNK_S)
    return Busy(fleet.seats, wall, len(requests) * REQUEST_S, chunks)


def measure_ceiling(fleet: Fleet) -> Ceiling:
    """Workers that answer at once: what is left is the driver's own work."""
    requests = questions(RESPONSES)
    keys = request_keys(requests)
    before = time.process_time()
    ask(fleet, requests, 0.0, 0.05)
    bare = time.process_time() - before
    with tempfile.TemporaryDirectory() as folder:
        header = Header("bench", "", {}, {}, "", RESPONSES)
        journal = Journal.create(Path(folder) / "journal", header)

        def keep(batch: list[tuple[int, Response]]) -> None:
            journal.append((i, keys[i], response) for i, response in batch)

        before = time.process_time()
        clock, _ = ask(fleet, requests, 0.0, 0.05, keep)
        kept = time.process_time() - before
        journal.close()
    few = questions(max(400, fleet.seats * 10))
    before = time.process_time()
    _, chunks = ask(fleet, few, 0.0, 1e-9)
    small = time.process_time() - before
    rates = (RESPONSES / seconds for seconds in (bare, kept))
    return Ceiling(fleet.seats, *rates, 1e3 * small / chunks, RESPONSES / clock)


def measure_hash() -> float:
    """GB a second of weights that one core hashes, by processor seconds."""
    weights = bytes(2**28)
    before = time.process_time()
    hashlib.sha256(weights)
    return len(weights) / 1e9 / (time.process_time() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2,8,32", help="That are kept busy.")
    parser.add_argument("--actors", default="1,8,32,200", help="That are to be quick.")
    parser.add_argument("--seconds", type=float, default=30.0, help="Of work for each worker.")
    chosen = parser.parse_args()
    loads = [os.getloadavg()[0]]
    os.environ["PYTHONPATH"] = str(ROOT)
    connect("local")
    busy, ceilings = [], []
    working, quick = ([int(n) for n in names.split(",") if n]
                      for names in (chosen.workers, chosen.actors))  # fmt: skip
    try:
        for workers in sorted({*working, *quick}):
            with fleet_of(workers) as fleet:
                loads.append(os.getloadavg()[0])
                if workers in working:
                    busy.append(measure_busy(fleet, chosen.seconds))
                    print(busy[-1], f"{busy[-1].efficiency:.3f}", flush=True)
                if workers in quick:
                    ceilings.append(measure_ceiling(fleet))
                    print(ceilings[-1], f"load {loads[-1]:.0f}", flush=True)
    finally:
        disconnect()
    load = f"between {min(loads):.0f} and {max(loads):.0f}"
    if not (busy and ceilings):
        return
    REPORT.write_text(report(busy, ceilings, load, measure_hash()), encoding="utf-8")
    print(f"wrote {REPORT}")
    worst = min(b.efficiency for b in busy)
    if worst < EFFICIENCY_LIMIT or busy[0].overhead > OVERHEAD_LIMIT:
        raise SystemExit(f"efficiency {worst:.3f}, overhead {busy[0].overhead:.1%}: not enough")


if __name__ == "__main__":
    main()
