"""Steps of generation as CUDA graphs, for a small model keeps an accelerator waiting for launches.

From token to token a step launches the same kernels, as long as its shapes are the same. So its
rows and tokens are rounded up to a *size*, whose kernels are recorded once and sent off together
from then on. The rows beyond those in use are computed along and never read.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from evalkit.engine import last_block
from evalkit.engine.budget import is_out_of_memory
from evalkit.engine.device import on_device
from evalkit.engine.rows import RowCache, next_logits

# Tokens are rounded up to a multiple of this.
TOKENS = 256
# What a library sets up at its first calls must not be recorded, and a size that comes up a few
# times is not worth it.
FIRST = 3

Run = Callable[[], object]


class Size(NamedTuple):
    """Shapes of a step: rows, and tokens that each looks at."""

    rows: int
    tokens: int


class Recorder:
    """Makes the graphs of one model, until one is refused; `works` says whether none was.

    Args:
        device: Where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        self.works = True

    def record(self, run: Run, pool: Any) -> tuple[Run, Any] | None:
        """What repeats the kernels that a call launches; None where the device refuses.

        Args:
            run: Launches kernels over memory that stays where it is.
            pool: Memory of graphs that are never repeated at the same time; None for a new one.

        Returns:
            The repetition, and the pool.

        Raises:
            RuntimeError: Memory ran out.
        """
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.device(self._device):
            self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                    run()
            except RuntimeError as error:
                torch.cuda.set_stream(current)
                self._give_up(error)
                return None
        return graph.replay, graph.pool()

    @contextmanager
    def unwaiting(self) -> Iterator[None]:
        """Give up on a model that waits for its device in this block, which no graph can."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that it does not notice all of them
            torch.cuda.set_sync_debug_mode("error")
            try:
                yield
            except RuntimeError as error:
                self._give_up(error)
            finally:
                torch.cuda.set_sync_debug_mode(before)

    def _give_up(self, error: RuntimeError) -> None:
        """Record nothing any more, unless it was for lack of memory.

        Raises:
            RuntimeError: Memory ran out.
        """
        for cause in (error, error.__context__):
            if cause is not None and is_out_of_memory(cause):
                raise cause
        self.works = False


class RecordedSteps:
    """A model's decoding steps over a cache.

    Args:
        model: A transformers model whose attention goes by plans.
        cache: Of the texts in the making; its memory must stay where it is.
        recorder: Makes the graphs.
    """

    def __init__(self, model: Any, cache: RowCache, recorder: Recorder) -> None:
        self._model, self._cache, self._recorder = model, cache, recorder
        self._newest = torch.zeros(cache.rows, 1, dtype=torch.long, device=cache.lengths.device)
        self._logits: Tensor | None = None
        self._met = Counter[Size]()
        self._recorded: dict[Size, Run] = {}
        self._pool: Any = None

    def logits(self, newest: Sequence[int], longest: int) -> Tensor:
        """Predictions after the newest token of each row; the next call writes over them.

        Args:
            newest: Token ids of the first n rows.
            longest: Tokens of the longest of them, the newest included.

        Returns:
            Logits of shape (n, vocabulary).
        """
        count = len(newest)
        self._newest[:count, 0] = on_device(np.array(newest), self._newest.device)
        size = self._size(count, longest)
        self._met[size] += 1
        if size in self._recorded or self._record(size):
            self._recorded[size]()
        else:
            self._run(size)
        assert self._logits is not None  # noqa: S101 - written by either
        return self._logits[:count]

    def _size(self, rows: int, tokens: int) -> Size:
        power = 1 << (rows - 1).bit_length()
        multiple = -(-tokens // TOKENS) * TOKENS
        return Size(min(power, self._cache.rows), min(multiple, self._cache.capacity))

    def _record(self, size: Size) -> bool:
        """Record a size that comes up once more, if that can be done; says whether it is."""
        if self._met[size] == FIRST and self._recorder.works:
            with self._recorder.unwaiting():
                self._run(size)
        if self._met[size] <= FIRST or not self._recorder.works:
            return False
        made = self._recorder.record(partial(self._run, size), self._pool)
        if made is None:
            return False
        self._recorded[size], self._pool = made
        return True

    def _run(self, size: Size) -> None:
        self._cache.expect(*size)
        found = next_logits(self._model, self._cache, self._newest[: size.rows])
        if self._logits is None:
            self._logits = found.new_empty(self._cache.rows, found.shape[-1])
        self._logits[: size.rows] = found


def can_record(model: Any) -> bool:
    """Whether a model's steps may be recorded: on CUDA, and no hook wants to see each of them."""
    hooks = (
        hook
        for module in model.modules()
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    )
    return model.device.type == "cuda" and all(hook in last_block.HOOKS for hook in hooks)
