"""The machine's own matrix-product peak, which a training's speed is a share of."""

import time
from collections.abc import Callable

import torch

_SIDE = {"cpu": 1024}
_SIDE_OF_ACCELERATORS = 8192
_REPEATS = 5
_PROBE_SIDE = {"cpu": 256}
_GAIN = 1.2
"""Processors with bf16 instructions multiply it about twice as fast; others many times slower."""


def choose_precision(wanted: str, device: str) -> str:
    """The recipe's precision; for `auto`, bf16 where this machine multiplies it faster, else fp32.

    Args:
        wanted: `auto`, `fp32`, `bf16` or `fp16`.
        device: Where to train.
    """
    if wanted != "auto":
        return wanted
    clock = time.process_time if device == "cpu" else time.perf_counter
    side = _PROBE_SIDE.get(device, _SIDE_OF_ACCELERATORS)
    fp32, bf16 = (
        matmul_peak(torch.device(device), precision, clock, side) for precision in ("fp32", "bf16")
    )
    return "bf16" if bf16 > _GAIN * fp32 else "fp32"


def matmul_peak(
    device: torch.device,
    precision: str,
    clock: Callable[[], float] = time.perf_counter,
    side: int | None = None,
) -> float:
    """Floating-point operations a second of the best of a few square products.

    With as many threads as torch is set to. Nothing is drawn from the global random streams.

    Args:
        device: Where to multiply.
        precision: `fp32`, `bf16` or `fp16`.
        clock: Tells the seconds; those of the processor (`time.process_time`) on a shared machine.
        side: Of the matrices; None for as large as it takes.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    side = side or _SIDE.get(device.type, _SIDE_OF_ACCELERATORS)
    source = torch.Generator(device).manual_seed(0)
    data = torch.randn(side, side, device=device, generator=source).to(dtype)
    data @ data
    best = float("inf")
    for _ in range(_REPEATS):
        _wait(device)
        start = clock()
        data @ data
        _wait(device)
        best = min(best, clock() - start)
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()
