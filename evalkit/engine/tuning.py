"""`--batch-size auto`: threads and budgets from a short measurement of a model on a machine."""

import time
from dataclasses import replace

import torch

from evalkit.engine.budget import Budget, is_out_of_memory
from evalkit.engine.forest import plan_passes
from evalkit.engine.forward import ForestRunner
from evalkit.engine.loading import LoadedModel
from evalkit.engine.tokenization import Span

SIZES = (16, 64, 256, 1024, 2048, 4096, 8192, 16384)
THREADS_SIZE = 256
SECONDS = 4.0
# A bigger pass has to be this much quicker a token to be worth its memory.
GAIN = 1.05
# Texts side by side are worth adding up to the size that reaches this share of the best rate.
NEARLY = 0.8
_PASSES = 2


def tuned(loaded: LoadedModel, budget: Budget) -> Budget:
    """The budget whose passes were quickest here; sets torch's threads on a CPU.

    Args:
        loaded: A model whose attention goes by plans.
        budget: What is not measured is kept.
    """
    deadline = time.perf_counter() + SECONDS
    if loaded.device.type == "cpu":
        _choose_threads(loaded, deadline)
    rates: dict[int, float] = {}
    for size in SIZES:
        expected = _PASSES * size / max(rates.values()) if rates else 0.0
        in_time = time.perf_counter() + expected < deadline
        rate = _tokens_per_second(loaded, size) if in_time else None
        if rate is None:
            break
        rates[size] = rate
    return replace(budget, tokens=_least_good(rates), rows=_rows(rates)) if rates else budget


def _choose_threads(loaded: LoadedModel, deadline: float) -> None:
    """Take the number of threads with the quickest passes; few are best where others compute."""
    most = torch.get_num_threads()
    rates = {most: 0.0}
    for threads in sorted({*(2**n for n in range(most.bit_length())), most}, reverse=True):
        if time.perf_counter() > deadline:
            break
        torch.set_num_threads(threads)
        rates[threads] = _tokens_per_second(loaded, THREADS_SIZE) or 0.0
    torch.set_num_threads(max(rates, key=lambda threads: rates[threads]))


def _tokens_per_second(loaded: LoadedModel, size: int) -> float | None:
    """Of the quickest of a few passes over `size` tokens, in texts as long as the model takes.

    None where they do not fit into memory.
    """
    length = min(size, loaded.max_length)
    vocabulary = loaded.model.config.get_text_config().vocab_size
    # Their first tokens differ, so that nothing is shared.
    spans = [
        Span((first % vocabulary, *(place % vocabulary for place in range(length))), 1)
        for first in range(size // length)
    ]
    passes = list(plan_passes(spans, size, size))
    runner = ForestRunner(loaded)
    best = float("inf")
    for _ in range(_PASSES):
        start = time.perf_counter()
        try:
            for step in passes:
                found, _ = runner.run(step)
                if len(step.places):
                    found.read(step.rows, step.targets)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        if loaded.device.type != "cpu":
            torch.accelerator.synchronize(loaded.device)
        best = min(best, time.perf_counter() - start)
    return sum(len(step.tokens) for step in passes) / best


def _least_good(rates: dict[int, float]) -> int:
    """The smallest size than which none is clearly quicker."""
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate * GAIN >= best)


def _rows(rates: dict[int, float]) -> int:
    """A step of generation is a pass of one token a row."""
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= NEARLY * best)
