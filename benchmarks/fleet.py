"""The fleet's own cost: an engine that sleeps for a known time, on Ray, on this machine.

    python -m benchmarks.fleet [--workers 1,2,8,32] [--actors 1,8,32,200] [--seconds 30]

Measures what handing out a chunk costs, how well workers are kept busy, and how many responses a
second the one driver takes, journal included; from these it works out what 1,000 accelerators and
10,000 checkpoints would saturate first. Writes reports/fleet.md. The workers reserve no core, so
that there may be more of them than cores: they sleep.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.engine.fleet import Fleet
from evalkit.engine.fleet.cluster import connect, disconnect
from evalkit.engine.fleet.cut import Cutter, Work
from evalkit.engine.fleet.pace import Limits
from evalkit.engine.fleet.worker import Asked
from evalkit.runner.journal import Header, Journal, request_keys
from evalkit.types import Request, RequestKind, Response

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "reports" / "fleet.md"
CHUNK_S = 5.0
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


@dataclass(frozen=True)
class Busy:
    """How workers were kept busy: seconds on the clock, and of work, all workers together."""

    workers: int
    wall_s: float
    work_s: float
    chunks: int

    @property
    def efficiency(self) -> float:
        """Share of the workers' time that was work."""
        return self.work_s / (self.workers * self.wall_s)

    @property
    def overhead(self) -> float:
        """Share of the work that came on top of it."""
        return self.workers * self.wall_s / self.work_s - 1


@dataclass(frozen=True)
class Ceiling:
    """What the driver took from workers that cost nothing.

    By seconds of the driver's processor, which other work on the machine stretches far less than
    those on the clock.
    """

    actors: int
    responses_per_s: float
    with_journal_per_s: float
    chunk_ms: float
    clock_per_s: float


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


# What is supposed of the cluster that is modelled, none of it measured here.
GPUS, CHECKPOINTS, REQUESTS = 1_000, 10_000, 100_000
TOKENS_PER_REQUEST, TOKENS_PER_S = 80, 20_000
WEIGHTS_GB, NODE_GB_PER_S, STORAGE_GB_PER_S, GPUS_PER_NODE = 16.0, 2.0, 100.0, 8
LISTING_S_PER_RUN = 0.0023  # reports/store.md: 2,000 runs without an index in 4.6 s


def model(ceiling: Ceiling) -> list[tuple[str, str, str, float]]:
    """What each part has to bear and can, and the share of it that is used, most used first."""
    asked_per_s = GPUS * TOKENS_PER_S / TOKENS_PER_REQUEST
    each_s = REQUESTS * TOKENS_PER_REQUEST / TOKENS_PER_S
    total_s = CHECKPOINTS * each_s / GPUS
    load_s = WEIGHTS_GB / NODE_GB_PER_S * GPUS_PER_NODE
    chunks_per_s = GPUS / CHUNK_S
    read = CHECKPOINTS * WEIGHTS_GB / total_s
    rows = [
        ("one driver, responses a second, journal included", asked_per_s,
         ceiling.with_journal_per_s),
        ("one driver, chunks a second", chunks_per_s, 1e3 / ceiling.chunk_ms),
        ("shared storage, GB of weights a second", read, STORAGE_GB_PER_S),
        ("an accelerator, seconds of loading for each checkpoint", load_s, each_s),
        ("store, seconds of one full listing, of a minute", CHECKPOINTS * LISTING_S_PER_RUN, 60.0),
    ]  # fmt: skip
    shown = [(name, f"{need:,.1f}", f"{has:,.1f}", need / has) for name, need, has in rows]
    return sorted(shown, key=lambda row: -row[3])


def report(busy: list[Busy], ceilings: list[Ceiling], load: str) -> str:
    """The measurements as Markdown."""
    best = ceilings[-1]
    each_s = REQUESTS * TOKENS_PER_REQUEST / TOKENS_PER_S
    drivers = -(-GPUS * TOKENS_PER_S / TOKENS_PER_REQUEST // best.with_journal_per_s)
    lines = [
        "# The fleet's own cost",
        "",
        "Written by `python -m benchmarks.fleet`: an engine that sleeps a known time, on Ray, "
        f"driver and workers on one machine of {os.cpu_count()} cores ({platform.machine()}), "
        f"which had other work too: its load was {load}. Workers start before the clock does.",
        "",
        f"## Workers kept busy, chunks of {CHUNK_S:.0f} s",
        "",
        "| workers | work s | clock s | chunks | on top of the work | parallel efficiency |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {b.workers} | {b.work_s:,.0f} | {b.wall_s:.1f} | {b.chunks} | {b.overhead:.1%} | "
            f"{b.efficiency:.3f} |"
            for b in busy
        ),
        "",
        "## The driver's ceiling: workers that cost nothing",
        "",
        "By processor seconds of the driver, its scheduling thread and Ray's included; the last "
        "column by the clock, as busy as the machine was. A chunk is of one request, there and "
        "back. Not in it: what a driver does once a run, which is to hash, tokenise and score.",
        "",
        "| actors | responses/s | with the journal | ms a chunk | by the clock, with the journal |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {c.actors} | {c.responses_per_s:,.0f} | {c.with_journal_per_s:,.0f} | "
            f"{c.chunk_ms:.2f} | {c.clock_per_s:,.0f} |"
            for c in ceilings
        ),
        "",
        f"## On paper: {GPUS:,} accelerators, {CHECKPOINTS:,} checkpoints",
        "",
        f"Supposed, not measured: {REQUESTS:,} requests a checkpoint, {TOKENS_PER_REQUEST} tokens "
        f"computed for each, {TOKENS_PER_S:,} tokens a second and accelerator, {WEIGHTS_GB:.0f} GB "
        f"of weights, {NODE_GB_PER_S:.0f} GB/s into a node of {GPUS_PER_NODE} accelerators, "
        f"{STORAGE_GB_PER_S:.0f} GB/s out of the storage. A run costs a listing without the index "
        f"{1e3 * LISTING_S_PER_RUN:.1f} ms (reports/store.md). A checkpoint is then "
        f"{each_s:,.0f} accelerator-seconds of work, the whole "
        f"{CHECKPOINTS * each_s / GPUS / 3600:.1f} hours.",
        "",
        "| what | needed | there is | used |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {need} | {has} | {share:.0%} |"
            for name, need, has, share in model(best)
        ),
        "",
        f"First to saturate: {model(best)[0][0]}. One driver is full at about "
        f"{best.with_journal_per_s * TOKENS_PER_REQUEST / TOKENS_PER_S:,.0f} such accelerators. "
        f"{drivers:.0f} drivers carry {GPUS:,}: each `evalkit run --model GLOB --engine ray` takes "
        "a share of the checkpoints, joins the same cluster, keeps journals of its own and writes "
        "whole runs into the same store, which needs no lock. Longer requests and larger models "
        "ask less of a driver in proportion.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


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
    REPORT.write_text(report(busy, ceilings, load), encoding="utf-8")
    print(f"wrote {REPORT}")
    worst = min(b.efficiency for b in busy)
    if worst < EFFICIENCY_LIMIT or busy[0].overhead > OVERHEAD_LIMIT:
        raise SystemExit(f"efficiency {worst:.3f}, overhead {busy[0].overhead:.1%}: not enough")


if __name__ == "__main__":
    main()
