"""Steps of generation as CUDA graphs, for a small model keeps an accelerator waiting for launches.

From token to token a step launches the same kernels, as long as its shapes are the same. So its
rows and tokens are rounded up to a *size*, whose kernels are recorded once and sent off together
from then on. The rows beyond those in use are computed along and never read.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from evalkit.engine.attention import attending
from evalkit.engine.rows import RowCache

# Tokens are rounded up to a multiple of this.
TOKENS = 256
# What a library sets up at its first calls must not be recorded, and a size that comes up a few
# times is not worth it.
FIRST = 3

Run = Callable[[], Tensor]


class Size(NamedTuple):
    """Shapes of a step: rows, and tokens that each looks at."""

    rows: int
    tokens: int


class RecordedSteps:
    """A model's decoding steps over a cache.

    Args:
        model: A transformers model whose attention goes by plans.
        cache: Of the texts in the making; its memory must stay where it is.
    """

    def __init__(self, model: Any, cache: RowCache) -> None:
        self._model, self._cache = model, cache
        self._newest = torch.zeros(cache.rows, 1, dtype=torch.long, device=cache.lengths.device)
        self._met = Counter[Size]()
        self._recorded: dict[Size, Run] = {}
        self._pool: Any = None

    def logits(self, newest: Sequence[int], longest: int) -> Tensor:
        """Predictions after the newest token of each row, good until they are asked again.

        Args:
            newest: Token ids of the first n rows.
            longest: Tokens of the longest of them, the newest included.

        Returns:
            Logits of shape (n, vocabulary).
        """
        self._newest[: len(newest), 0] = torch.tensor(newest)
        size = self._size(len(newest), longest)
        self._met[size] += 1
        if self._met[size] > FIRST and size not in self._recorded:
            self._recorded[size] = self._record(size)
        run = self._recorded.get(size) or partial(self._run, size)
        return run()[: len(newest)]

    def _size(self, rows: int, tokens: int) -> Size:
        power = 1 << (rows - 1).bit_length()
        multiple = -(-tokens // TOKENS) * TOKENS
        return Size(min(power, self._cache.rows), min(multiple, self._cache.capacity))

    def _run(self, size: Size) -> Tensor:
        self._cache.expect(*size)
        with attending(self._cache):
            found = self._model(
                input_ids=self._newest[: size.rows],
                position_ids=self._cache.lengths[: size.rows, None],
                logits_to_keep=1,
                use_cache=False,
            )
        logits: Tensor = found.logits[:, -1]
        return logits

    def _record(self, size: Size) -> Run:
        """The size's step as a graph; as it is where the model waits for its device."""
        run = partial(self._run, size)
        try:
            recorded, self._pool = cuda_graph(run, self._pool)
        except RuntimeError:
            return run
        return recorded


def cuda_graph(run: Run, pool: Any) -> tuple[Run, Any]:
    """What repeats the kernels that a call launches, and the memory that such graphs may share."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        found = run()

    def repeat() -> Tensor:
        graph.replay()
        return found

    return repeat, graph.pool()


def can_record(model: Any) -> bool:
    """Whether a model's steps may be recorded: on CUDA, and no hook wants to see each of them."""
    watched = model._forward_pre_hooks or model._forward_hooks
    return model.device.type == "cuda" and not watched
