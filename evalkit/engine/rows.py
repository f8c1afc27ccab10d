"""Keys and values of texts in the making: one row a text, each with a length of its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evalkit.engine.attention import Layer, attending
from evalkit.engine.device import on_device
from evalkit.engine.forward import KeyValues

Layers = Mapping[int, KeyValues]

# Rows that attend in one call on a CPU, where it costs as much as the longest of them.
TOGETHER = 8


@dataclass
class RowCache:
    """An attention plan in which the newest token of each row sees that row.

    Rows 0 to n - 1 are in use; nothing is padded or moved when texts of different lengths run side
    by side, and a row that leaves is replaced by the last one.

    Attributes:
        rows: Most rows.
        capacity: Most tokens in a row.
        lengths: Tokens of each row, shape (rows,).
        wanted: None, for every token's prediction is asked.
        length: One token a row and pass.
    """

    rows: int
    capacity: int
    lengths: Tensor
    wanted: Tensor | None = None
    length: int = 1
    _layers: dict[int, KeyValues] = field(default_factory=dict)
    _masks: dict[int | None, Tensor] = field(default_factory=dict)
    _parts: list[tuple[int, int, int]] | None = None

    def insert(
        self, rows: NDArray[np.int64], paths: Sequence[NDArray[np.int64]], laid: Layers
    ) -> None:
        """Put the keys and values of prompts into rows.

        Args:
            rows: Row of each prompt.
            paths: Where each prompt's tokens lie in `laid`, in their order.
            laid: Keys and values of a pass and of what it stands on, each (1, heads, tokens, size).
        """
        device = self.lengths.device
        counts = np.array([len(path) for path in paths])
        row, place, source = (
            on_device(part, device)
            for part in (
                np.repeat(rows, counts),
                np.concatenate([np.arange(count) for count in counts]),
                np.concatenate(paths),
            )
        )
        # One run of numbers a token and head: many times quicker than by three indices.
        runs: dict[int, Tensor] = {}
        for layer, pair in laid.items():
            heads = pair[0].shape[1]
            if layer not in self._layers:
                key, value = (self._room_for(part) for part in pair)
                self._layers[layer] = key, value
            if heads not in runs:
                head = torch.arange(heads, device=device)[:, None]
                runs[heads] = ((row * heads + head) * self.capacity + place).flatten()
            for kept, part in zip(self._layers[layer], pair, strict=True):
                size = part.shape[3]
                kept.view(-1, size)[runs[heads]] = part[0].index_select(1, source).reshape(-1, size)
        self.lengths[on_device(rows, device)] = on_device(counts, device)

    def _room_for(self, part: Tensor) -> Tensor:
        return _zeros(part, self.rows, part.shape[1], self.capacity, part.shape[3])

    def move(self, source: int, target: int) -> None:
        """Overwrite a row with another."""
        length = int(self.lengths[source])
        for keys, values in self._layers.values():
            keys[target, :, :length] = keys[source, :, :length]
            values[target, :, :length] = values[source, :, :length]
        self.lengths[target] = length

    def leave(self, count: int) -> None:
        """Note that only the first `count` rows are in use."""
        self.lengths[count:] = 0

    def attend(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Append one token to each of the first n rows, n being the batch, and attend."""
        count = len(query)
        keys, values = self._layers[layer.index]
        ends = self.lengths[:count]
        row = torch.arange(count, device=query.device)
        keys[row, :, ends] = key[:, :, 0]
        values[row, :, ends] = value[:, :, 0]
        parts = self._parts_of(ends)
        mask = self._mask(layer.window, ends, max(part[2] for part in parts), query.dtype)
        found = [
            layer.attention(
                query[low:high],
                keys[low:high, :, :longest],
                values[low:high, :, :longest],
                mask[low:high, :, :, :longest],
            )
            for low, high, longest in parts
        ]
        return torch.cat(found) if len(found) > 1 else found[0]

    def expect(self, rows: int, longest: int) -> None:
        """Let the next pass be one of so many rows that attend together over so many tokens.

        Asks the device nothing.
        """
        self._masks.clear()
        self._parts = [(0, rows, longest)]

    def _parts_of(self, ends: Tensor) -> list[tuple[int, int, int]]:
        """(first row, one past the last, tokens of the longest) of rows that attend together.

        Asked of the device once a step, not once a layer.
        """
        if self._parts is None:
            size = TOGETHER if ends.device.type == "cpu" else len(ends)
            lengths = (ends + 1).tolist()
            self._parts = [
                (low, min(low + size, len(lengths)), max(lengths[low : low + size]))
                for low in range(0, len(lengths), size)
            ]
        return self._parts

    def advance(self, count: int) -> None:
        """Note that the first `count` rows have one token more."""
        self.lengths[:count] += 1
        self._masks.clear()
        self._parts = None

    def _mask(self, window: int | None, ends: Tensor, longest: int, dtype: torch.dtype) -> Tensor:
        """What is added to the scores, shape (rows, 1, 1, tokens)."""
        if window not in self._masks:
            place = torch.arange(longest, device=ends.device)
            hidden = place > ends[:, None]
            if window is not None:
                hidden |= place <= ends[:, None] - window
            mask = torch.zeros(hidden.shape, dtype=dtype, device=ends.device)
            self._masks[window] = mask.masked_fill_(hidden, -torch.inf)[:, None, None]
        return self._masks[window]


def next_logits(model: Any, cache: RowCache, newest: Tensor) -> Tensor:
    """Predictions of a transformers model after the newest token of each row.

    Args:
        model: Its attention goes by plans.
        cache: Of the rows; gets the token's keys and values, and is to be advanced afterwards.
        newest: Token ids, shape (rows, 1).

    Returns:
        Logits of shape (rows, vocabulary).
    """
    with attending(cache):
        found = model(
            input_ids=newest,
            position_ids=cache.lengths[: len(newest), None],
            logits_to_keep=1,
            use_cache=False,
        )
    logits: Tensor = found.logits[:, -1]
    return logits


def _zeros(like: Tensor, *shape: int) -> Tensor:
    """Zeros of a tensor's type on its device; on a CPU, memory is taken only as it is written."""
    if like.device.type != "cpu":
        return like.new_zeros(*shape)
    return (
        torch.from_numpy(np.zeros(math.prod(shape) * like.itemsize, np.uint8))
        .view(like.dtype)
        .view(*shape)
    )
