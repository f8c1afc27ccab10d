"""One engine: on a CPU in a process of its own, so that its memory and CPU seconds are its own."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance

from evalkit.profiling.peaks import matmul_peak

_QUIET = {"disable_tqdm": True}


@dataclass(frozen=True)
class Side:
    """An engine with its settings; `batch_size` None lets the engine choose."""

    engine: str
    model: str
    threads: int
    device: str
    dtype: str
    batch_size: int | None = None


def clock_of(device: str) -> str:
    """The part of a `Timing` that counts: CPU seconds, which a busy machine stretches least."""
    return "cpu_s" if device == "cpu" else "wall_s"


@dataclass(frozen=True)
class Timing:
    """One pass over a workload: seconds, and the answers."""

    cpu_s: float
    wall_s: float
    answers: list[Any]


@dataclass(frozen=True)
class Work:
    """What a pass over a workload computes.

    Attributes:
        tokens: Token positions that went through the model.
        linear_flop: Floating-point operations of its linear layers, two a multiply-add; attention
            itself is left out, so that shares of the peak are understated.
    """

    tokens: int
    linear_flop: float


def serve(connection: Connection, side: Side) -> None:
    """Answer the parent's calls, each (name of a `Worker` method, its arguments)."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(side.threads)
    worker = Worker(side)
    connection.send("ready")
    while call := connection.recv():
        name, *arguments = call
        connection.send(getattr(worker, name)(*arguments))


class Worker:
    """Runs workloads on one engine."""

    def __init__(self, side: Side) -> None:
        import logging

        import torch
        from lm_eval.api.registry import get_model
        from transformers.utils import logging as transformers_logging

        import evalkit.engine  # noqa: F401

        logging.disable(logging.WARNING)
        transformers_logging.disable_progress_bar()
        torch.set_num_threads(side.threads)
        self._side = side
        self._device = torch.device(side.device)
        if not side.model:
            return
        settings = {"pretrained": side.model, "dtype": side.dtype, "device": side.device}
        if side.batch_size:
            settings["batch_size"] = side.batch_size
        self._lm = get_model(side.engine)(**settings)
        self._model = self._lm.engine.loaded.model if side.engine == "evalkit" else self._lm.model
        # The weights are in memory before it is measured: they may be mapped from their file.
        self._ask("loglikelihood", [Instance("loglikelihood", {}, ("The end", " is near"), 0)])
        is_cpu = self._device.type == "cpu"
        self._memory = ProcessMemory() if is_cpu else DeviceMemory(self._model)

    def matmul_peak(self) -> tuple[float, float]:
        """GFLOP per CPU second and per wall second of this machine's best matrix product."""
        return matmul_peak(self._side.threads, self._side.device, self._side.dtype)

    def use_batch_size(self, size: int) -> None:
        """Change HFLM's batch size."""
        self._lm.batch_size_per_gpu = size

    def time(self, method: str, instances: list[Instance]) -> Timing:
        """Answer the instances and time it."""
        with self._memory.watch():
            cpu, wall = time.process_time(), time.perf_counter()
            answers = self._ask(method, instances)
        return Timing(time.process_time() - cpu, time.perf_counter() - wall, answers)

    def _ask(self, method: str, instances: list[Instance]) -> list[Any]:
        is_ours = hasattr(self._lm, "engine")
        return list(getattr(self._lm, method)(instances, **({} if is_ours else _QUIET)))

    def count(self, method: str, instances: list[Instance]) -> Work:
        """Answer the instances and count what the model computes; not to be timed."""
        found = {"tokens": 0, "flop": 0.0}

        def linear(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            found["flop"] += 2.0 * inputs[0].numel() * output.shape[-1]

        def tokens(module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            ids = named.get("input_ids", inputs[0] if inputs else None)
            found["tokens"] += int(ids.numel())

        hooks = [self._model.register_forward_pre_hook(tokens, with_kwargs=True)]
        for module in self._model.modules():
            if type(module).__name__ in ("Linear", "Conv1D", "PackedLinear"):
                hooks.append(module.register_forward_hook(linear))
        self._ask(method, instances)
        for hook in hooks:
            hook.remove()
        return Work(found["tokens"], found["flop"])

    def requested_tokens(self, method: str, instances: list[Instance]) -> int:
        """Tokens of all requests, each taken for itself: contexts, continuations and new text."""
        from evalkit.engine.instances import requests_of

        asked = [requests_of(instance, 0)[0] for instance in instances]
        batches = self._lm.engine.respond(asked)
        return sum(r.prompt_tokens + r.output_tokens for batch in batches for _, r in batch)

    def memory(self) -> tuple[int, int]:
        """Most bytes in all, and most beyond those of the loaded model."""
        return self._memory.most()


class ProcessMemory:
    """Memory of this process (Linux), from the loaded model on."""

    def __init__(self) -> None:
        self._loading, self._loaded = _status("VmHWM"), _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts again

    def watch(self) -> AbstractContextManager[None]:
        """Around what is measured; the kernel keeps the highest mark."""
        return nullcontext()

    def most(self) -> tuple[int, int]:
        """Most bytes in all, and most beyond the loaded model."""
        highest = _status("VmHWM")
        return max(self._loading, highest), highest - self._loaded


class DeviceMemory:
    """Memory of a CUDA device, where both engines may have a model."""

    def __init__(self, model: Any) -> None:
        self._model = sum(each.nbytes for each in model.parameters())
        self._working = 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Around what is measured."""
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield
        self._working = max(self._working, torch.cuda.max_memory_allocated() - before)

    def most(self) -> tuple[int, int]:
        """Bytes of the weights and of the most beyond them, and the latter alone."""
        return self._model + self._working, self._working


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)
