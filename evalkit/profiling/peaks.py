"""The machine's own peaks, measured: matrix products, and copies in memory."""

import statistics
import time
from collections.abc import Callable

import torch

from evalkit.engine.budget import ACCELERATOR

# Rows, inputs, outputs: a square, and the widest layers of a GPT-2-small; an accelerator is given
# more rows, for it takes longer to be asked than to compute so few.
SHAPES = [(2048, 2048, 2048), (1024, 768, 3072), (1024, 3072, 768), (1024, 768, 2304)]
REPEATS = 15
# So many at least; no more once this is spent, for a product in a type that the processor has no
# instructions for takes seconds.
LEAST, ENOUGH_S = 3, 0.5
COPIED_BYTES = 2**28


def matmul_peak(threads: int, device: str, dtype: str) -> tuple[float, float]:
    """GFLOP per CPU second and per wall second of the best library and shape."""
    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    per_cpu, per_wall = [], []
    for rows, inputs, outputs in SHAPES:
        rows *= 1 if device == "cpu" else ACCELERATOR
        data = torch.randn(rows, inputs, device=device, dtype=kind)
        weight = torch.randn(outputs, inputs, device=device, dtype=kind)
        products = [lambda data=data, weight=weight: data @ weight.T]
        if device == "cpu" and dtype == "float32" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
            products.append(
                lambda data=data, packed=packed: torch.ops.mkldnn._linear_pointwise(
                    data, packed, None, "none", [], ""
                )
            )
        for product in products:
            cpu, wall = _seconds(product, device)
            work = 2e-9 * rows * inputs * outputs
            per_cpu.append(work / cpu)
            per_wall.append(work / wall)
    return max(per_cpu), max(per_wall)


def copy_peak(device: str) -> float:
    """GB per second of wall time, read and written, of a copy larger than any cache."""
    source = torch.ones(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    _, wall = _seconds(lambda: target.copy_(source), device)
    return 2e-9 * COPIED_BYTES / wall


def _seconds(work: Callable[[], object], device: str) -> tuple[float, float]:
    """Median CPU and wall seconds of a call."""
    cpu: list[float] = []
    wall: list[float] = []
    while len(wall) < REPEATS and (len(wall) < LEAST or sum(wall) < ENOUGH_S):
        start = time.process_time(), time.perf_counter()
        work()
        if device != "cpu":
            torch.accelerator.synchronize()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    return statistics.median(cpu), statistics.median(wall)
