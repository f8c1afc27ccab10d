"""One workload on one model: both engines in turn."""

import multiprocessing
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lm_eval.api.instance import Instance

from benchmarks.engine.worker import Side, Timing, Work, Worker, clock_of, serve
from benchmarks.engine.workloads import Workload

BATCH_SIZES = {"cpu": (1, 8, 16)}
BATCH_SIZES_OF_ACCELERATORS = (16, 64, 256)
# HFLM's best batch size is looked for on the first documents only.
TRIED_SHARE, WARM_SHARE = 1 / 2, 1 / 12


@dataclass(frozen=True)
class Row:
    """The report's line: evalkit against HFLM on one workload of one model."""

    model: str
    workload: str
    requests: int
    hflm_batch_size: int
    cpu_ratio: float
    wall_ratio: float
    ratio_at_peak: float
    floor: float | None
    evalkit_cpu_s: float
    hflm_cpu_s: float
    evalkit_wall_s: float
    hflm_wall_s: float
    largest_difference: float | None
    relative_difference: float | None
    flipped: int
    compared: int
    tokens_requested: int
    tokens_computed: int
    hflm_tokens_computed: int
    gflop_per_s: float
    share_of_peak: float
    evalkit_peak_bytes: int
    hflm_peak_bytes: int
    evalkit_working_bytes: int
    hflm_working_bytes: int


class Child:
    """A worker process and the calls to it."""

    def __init__(self, side: Side) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, side), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def call(self, name: str, *arguments: object) -> Any:
        """What a method of the worker returns."""
        self._connection.send((name, *arguments))
        return self._connection.recv()

    def close(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()


class Here:
    """A worker in this process, called like a `Child`."""

    def __init__(self, side: Side) -> None:
        self._worker = Worker(side)

    def call(self, name: str, *arguments: object) -> Any:
        """What a method of the worker returns."""
        return getattr(self._worker, name)(*arguments)


@contextmanager
def child(side: Side) -> Iterator[Child | Here]:
    """A worker; where memory is counted on the device, it needs no process of its own."""
    if side.device != "cpu":
        yield Here(side)
        return
    made = Child(side)
    try:
        yield made
    finally:
        made.close()


def compare(workload: Workload, ours: Side, peak: float, repeats: int, model_name: str) -> Row:
    """Run both engines in turn `repeats` times, HFLM at its best batch size.

    Args:
        workload: What both are asked.
        ours: evalkit's side; HFLM's is alike.
        peak: The machine's matrix products, in GFLOP per second of the clock that counts.
        repeats: Turns.
        model_name: As in the report.
    """
    theirs = best_batch_size(workload, replace(ours, engine="hf"))
    with child(ours) as evalkit, child(theirs) as hflm:
        pairs = []
        for turn in range(repeats):
            order = [evalkit, hflm] if turn % 2 == 0 else [hflm, evalkit]
            timed = {one: one.call("time", workload.method, workload.instances) for one in order}
            pairs.append((timed[evalkit], timed[hflm]))
        memory = evalkit.call("memory"), hflm.call("memory")
        work: Work = evalkit.call("count", workload.method, workload.instances)
        their_work: Work = hflm.call("count", workload.method, workload.instances)
        requested = evalkit.call("requested_tokens", workload.method, workload.instances)
    rate = work.linear_flop * 1e-9 / _median(pairs, 0, clock_of(ours.device))
    differences = difference(workload.instances, pairs[0][0].answers, pairs[0][1].answers)
    return Row(
        model=model_name,
        workload=workload.name,
        requests=len(workload.instances),
        hflm_batch_size=theirs.batch_size or 1,
        cpu_ratio=_ratio(pairs, "cpu_s"),
        wall_ratio=_ratio(pairs, "wall_s"),
        ratio_at_peak=_ratio(pairs, clock_of(ours.device)) * peak / rate,
        floor=workload.floor if ours.device == "cpu" else None,
        evalkit_cpu_s=_median(pairs, 0, "cpu_s"),
        hflm_cpu_s=_median(pairs, 1, "cpu_s"),
        evalkit_wall_s=_median(pairs, 0, "wall_s"),
        hflm_wall_s=_median(pairs, 1, "wall_s"),
        **differences,
        tokens_requested=requested,
        tokens_computed=work.tokens,
        hflm_tokens_computed=their_work.tokens,
        gflop_per_s=rate,
        share_of_peak=rate / peak,
        evalkit_peak_bytes=memory[0][0],
        hflm_peak_bytes=memory[1][0],
        evalkit_working_bytes=memory[0][1],
        hflm_working_bytes=memory[1][1],
    )


def best_batch_size(workload: Workload, side: Side) -> Side:
    """HFLM with the batch size that is quickest on the first documents, of those it can hold."""
    seconds = {}
    with child(side) as hflm:
        hflm.call("time", workload.method, workload.part(WARM_SHARE))
        for size in BATCH_SIZES.get(side.device, BATCH_SIZES_OF_ACCELERATORS):
            hflm.call("use_batch_size", size)
            try:
                timing: Timing = hflm.call("time", workload.method, workload.part(TRIED_SHARE))
            except torch.OutOfMemoryError:
                break  # the larger ones are of no use either
            seconds[size] = getattr(timing, clock_of(side.device))
    return replace(side, batch_size=min(seconds, key=lambda size: seconds[size]))


def difference(
    instances: list[Instance], ours: list[Any], theirs: list[Any]
) -> dict[str, float | int | None]:
    """Largest difference of a log-likelihood, and as a share of it; answers that flipped.

    A document's answer is its likeliest choice; that of a generation is its text.
    """
    if isinstance(ours[0], str):
        flipped = sum(a != b for a, b in zip(ours, theirs, strict=True))
        gaps = {"largest_difference": None, "relative_difference": None}
        return {**gaps, "flipped": flipped, "compared": len(ours)}
    mine, other = (np.array([_value(a) for a in answers]) for answers in (ours, theirs))
    documents: dict[int, list[int]] = defaultdict(list)
    for place, instance in enumerate(instances):
        documents[int(instance.doc_id)].append(place)
    gap = np.abs(mine - other)
    return {
        "largest_difference": float(gap.max()),
        "relative_difference": float((gap / np.maximum(np.abs(other), 1.0)).max()),
        "flipped": sum(bool(mine[p].argmax() != other[p].argmax()) for p in documents.values()),
        "compared": len(documents),
    }


def _value(answer: Any) -> float:
    return float(answer[0] if isinstance(answer, tuple | list) else answer)


def _median(pairs: list[tuple[Timing, Timing]], side: int, name: str) -> float:
    return statistics.median(getattr(pair[side], name) for pair in pairs)


def _ratio(pairs: list[tuple[Timing, Timing]], name: str) -> float:
    return statistics.median(getattr(b, name) / getattr(a, name) for a, b in pairs)
