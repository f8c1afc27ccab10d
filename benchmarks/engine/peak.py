"""The machine's own matrix-product peak: the best of the libraries at hand over a few shapes."""

import statistics
import time

# Rows, inputs, outputs: a square, and the widest layers of a GPT-2-small.
SHAPES = [(2048, 2048, 2048), (1024, 768, 3072), (1024, 3072, 768), (1024, 768, 2304)]
REPEATS = 15


def matmul_peak(threads: int, device: str, dtype: str) -> tuple[float, float]:
    """GFLOP per CPU second and per wall second of the best library and shape."""
    import torch

    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    per_cpu, per_wall = [], []
    for rows, inputs, outputs in SHAPES:
        data = torch.randn(rows, inputs, device=device, dtype=kind)
        weight = torch.randn(outputs, inputs, device=device, dtype=kind)
        products = [lambda data=data, weight=weight: data @ weight.T]
        if device == "cpu" and dtype == "float32" and torch.backends.mkldnn.is_available():
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


def _seconds(product, device: str) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Median CPU and wall seconds of a call."""
    import torch

    cpu, wall = [], []
    for _ in range(REPEATS):
        start = time.process_time(), time.perf_counter()
        product()
        if device != "cpu":
            torch.accelerator.synchronize()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    return statistics.median(cpu), statistics.median(wall)
