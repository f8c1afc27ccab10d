"""Keys and values of texts in the making: one row a text, each with a length of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evalkit.engine.attention import Layer
from evalkit.engine.forward import KeyValues


@dataclass
class RowCache:
    """An attention plan in which the newest token of each row sees that row.

    Rows 0 to n - 1 are in use; nothing is padded or moved when texts of different lengths run side
    by side, and a row that leaves is replaced by the last one.

    Attributes:
        rows: Most rows.
        capacity: Most tokens in a row.
        lengths: Tokens of each row, shape (rows,).
    """

    rows: int
    capacity: int
    lengths: Tensor
    _layers: dict[int, KeyValues] = field(default_factory=dict)
    _masks: dict[int | None, Tensor] = field(default_factory=dict)
    _step_length: int | None = None

    def insert(self, row: int, pieces: Mapping[int, KeyValues]) -> None:
        """Put a prompt's keys and values, each (heads, tokens, size), into a row."""
        for layer, (key, value) in pieces.items():
            if layer not in self._layers:
                self._layers[layer] = tuple(
                    part.new_zeros(self.rows, part.shape[0], self.capacity, part.shape[2])
                    for part in (key, value)
                )  # type: ignore[assignment]
            keys, values = self._layers[layer]
            keys[row, :, : key.shape[1]] = key
            values[row, :, : value.shape[1]] = value
            self.lengths[row] = key.shape[1]

    def move(self, source: int, target: int) -> None:
        """Overwrite a row with another."""
        length = int(self.lengths[source])
        for keys, values in self._layers.values():
            keys[target, :, :length] = keys[source, :, :length]
            values[target, :, :length] = values[source, :, :length]
        self.lengths[target] = length

    def attend(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Append one token to each of the first n rows, n being the batch, and attend."""
        count = len(query)
        keys, values = self._layers[layer.index]
        ends = self.lengths[:count]
        row = torch.arange(count, device=query.device)
        keys[row, :, ends] = key[:, :, 0]
        values[row, :, ends] = value[:, :, 0]
        longest = self._longest(ends)
        mask = self._mask(layer.window, ends, longest, query.dtype)
        return layer.attention(query, keys[:count, :, :longest], values[:count, :, :longest], mask)

    def _longest(self, ends: Tensor) -> int:
        """Tokens of the longest row in use; asked of the device once a step, not once a layer."""
        if self._step_length is None:
            self._step_length = int(ends.max()) + 1
        return self._step_length

    def advance(self, count: int) -> None:
        """Note that the first `count` rows have one token more."""
        self.lengths[:count] += 1
        self._masks.clear()
        self._step_length = None

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
