"""The machine's own matrix-product peak, which a training's speed is a share of."""

import time
from collections.abc import Callable

import torch

_SIDE = {"cpu": 1024}
_SIDE_OF_ACCELERATORS = 8192
_REPEATS = 5


def matmul_peak(
    device: torch.device, precision: str, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Floating-point operations a second of the best of a few square products.

    With as many threads as torch is set to. Nothing is drawn from the global random streams.

    Args:
        device: Where to multiply.
        precision: `fp32`, `bf16` or `fp16`.
        clock: Tells the seconds; those of the processor (`time.process_time`) on a shared machine.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    side = _SIDE.get(device.type, _SIDE_OF_ACCELERATORS)
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
