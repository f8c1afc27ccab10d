"""What the fleet's bench has measured, as a report, and what follows from it on paper."""

import math
import os
import platform
from dataclasses import dataclass

CHUNK_S = 5.0


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


# What is supposed of the cluster that is modelled, none of it measured here.
GPUS, CHECKPOINTS, REQUESTS = 1_000, 10_000, 100_000
TOKENS_PER_REQUEST, TOKENS_PER_S = 80, 20_000
WEIGHTS_GB, NODE_GB_PER_S, STORAGE_GB_PER_S, GPUS_PER_NODE = 16.0, 2.0, 100.0, 8
LISTING_S_PER_RUN = 0.0023  # reports/store.md: 2,000 runs without an index in 4.6 s


def model(ceiling: Ceiling, hashed: float) -> list[tuple[str, str, str, float]]:
    """What each part has to bear and can, and the share of it that is used, most used first.

    Args:
        ceiling: Of one driver.
        hashed: GB a second of weights that one core hashes.
    """
    asked_per_s = GPUS * TOKENS_PER_S / TOKENS_PER_REQUEST
    each_s = REQUESTS * TOKENS_PER_REQUEST / TOKENS_PER_S
    total_s = CHECKPOINTS * each_s / GPUS
    load_s = WEIGHTS_GB / NODE_GB_PER_S * GPUS_PER_NODE + WEIGHTS_GB / hashed
    chunks_per_s = GPUS / CHUNK_S
    read = CHECKPOINTS * WEIGHTS_GB / total_s
    rows = [
        ("one driver, responses a second, journal included", asked_per_s,
         ceiling.with_journal_per_s),
        ("one driver, chunks a second", chunks_per_s, 1e3 / ceiling.chunk_ms),
        ("one driver, GB of weights a second, to hash them", read, NODE_GB_PER_S),
        ("shared storage, GB of weights a second", 2 * read, STORAGE_GB_PER_S),
        ("an accelerator, seconds of hashing and loading a checkpoint", load_s, each_s),
        ("store, seconds of one full listing, of a minute", CHECKPOINTS * LISTING_S_PER_RUN, 60.0),
    ]  # fmt: skip
    shown = [(name, f"{need:,.1f}", f"{has:,.1f}", need / has) for name, need, has in rows]
    return sorted(shown, key=lambda row: -row[3])


def report(busy: list[Busy], ceilings: list[Ceiling], load: str, hashed: float) -> str:
    """The measurements as Markdown.

    Args:
        busy: Of workers kept busy.
        ceilings: Of workers that cost nothing, the most of them last.
        load: Of the machine meanwhile, in words.
        hashed: GB a second of weights that one core hashes.
    """
    return "\n".join(
        [*_kept_busy(busy, load), *_driver(ceilings), *_on_paper(ceilings[-1], hashed)]
    )


def _kept_busy(busy: list[Busy], load: str) -> list[str]:
    return [
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
    ]  # fmt: skip


def _driver(ceilings: list[Ceiling]) -> list[str]:
    return [
        "## The driver's ceiling: workers that cost nothing",
        "",
        "By processor seconds of the driver, its scheduling thread and Ray's included; the last "
        "column by the clock, as busy as the machine was. A chunk is of one request, there and "
        "back. Not in it: what a driver does once a run, which is to tokenise and score.",
        "",
        "| actors | responses/s | with the journal | ms a chunk | by the clock, with the journal |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {c.actors} | {c.responses_per_s:,.0f} | {c.with_journal_per_s:,.0f} | "
            f"{c.chunk_ms:.2f} | {c.clock_per_s:,.0f} |"
            for c in ceilings
        ),
        "",
    ]  # fmt: skip


def _on_paper(best: Ceiling, hashed: float) -> list[str]:
    each_s = REQUESTS * TOKENS_PER_REQUEST / TOKENS_PER_S
    rows = model(best, hashed)
    most = max(share for name, _, _, share in rows if name.startswith("one driver"))
    return [
        f"## On paper: {GPUS:,} accelerators, {CHECKPOINTS:,} checkpoints",
        "",
        f"Supposed, not measured: {REQUESTS:,} requests a checkpoint, {TOKENS_PER_REQUEST} tokens "
        f"computed for each, {TOKENS_PER_S:,} tokens a second and accelerator, {WEIGHTS_GB:.0f} GB "
        f"of weights, {NODE_GB_PER_S:.0f} GB/s into a node of {GPUS_PER_NODE} accelerators, "
        f"{STORAGE_GB_PER_S:.0f} GB/s out of the storage. A run costs a listing without the index "
        f"{1e3 * LISTING_S_PER_RUN:.1f} ms (reports/store.md). Weights are read twice, since the "
        "driver hashes them before it asks anything and each worker before it loads them; a core "
        f"hashes {hashed:.2f} GB/s, which was measured. A checkpoint is then "
        f"{each_s:,.0f} accelerator-seconds of work, the whole "
        f"{CHECKPOINTS * each_s / GPUS / 3600:.1f} hours.",
        "",
        "| what | needed | there is | used |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {need} | {has} | {share:.0%} |"
            for name, need, has, share in rows
        ),
        "",
        f"First to saturate: {rows[0][0]}. One driver is full at about "
        f"{GPUS / most:,.0f} such accelerators. {math.ceil(most)} drivers, each on a node of its "
        f"own, carry {GPUS:,}: each `evalkit run --model GLOB --engine ray` takes "
        "a share of the checkpoints, joins the same cluster, keeps journals of its own and writes "
        "whole runs into the same store, which needs no lock. Longer requests ask "
        "less of a driver in proportion.",
        "",
    ]  # fmt: skip
