"""The output layer in parts of the vocabulary: logits that are only read never stand in memory.

All logits of a pass are many times larger than a processor's cache. A part of them is read while it
is there, and makes room for the next.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evalkit.engine.attention import plan_in_force
from evalkit.engine.reading import readings

# Most rows and tokens whose logits are computed together, some ten megabytes.
_ROWS, _WIDTH = 384, 8192
# Weights whose rows are a multiple of this are multiplied quickest.
_MULTIPLE = 64


class OutputLayer(nn.Module):
    """A linear layer from states to logits, cut by tokens.

    In a pass that asks for some places only, it hands the states on, for the caller to `read`.

    Args:
        whole: The layer; its weight is shared.
    """

    def __init__(self, whole: nn.Linear) -> None:
        super().__init__()
        count = -(-whole.out_features // _WIDTH)
        self._width = _MULTIPLE * -(-whole.out_features // (count * _MULTIPLE))
        weights = torch.split(whole.weight.detach(), self._width)
        biases: Sequence[Tensor | None] = [None] * len(weights)
        if whole.bias is not None:
            biases = torch.split(whole.bias.detach(), self._width)
        self.parts = nn.ModuleList(map(_linear, weights, biases))
        self._vocabulary = whole.out_features

    def forward(self, states: Tensor) -> Tensor:
        """Map (..., width) to (..., vocabulary), or leave it as it is, to be read."""
        plan = plan_in_force()
        return self.logits(states) if plan is None or plan.wanted is None else states

    def logits(self, states: Tensor) -> Tensor:
        """Map (..., width) to (..., vocabulary)."""
        made = states.new_empty(*states.shape[:-1], self._vocabulary)
        for part, place in zip(self.parts, torch.split(made, self._width, -1), strict=True):
            place.copy_(part(states))
        return made

    @torch.inference_mode()
    def read(self, states: Tensor, rows: np.ndarray, targets: np.ndarray) -> tuple[Tensor, Tensor]:
        """As `reading.read`, of the logits that states make, those of shape (rows, width)."""
        values, first = torch.empty(len(rows)), torch.empty(len(rows), dtype=torch.bool)
        low = 0
        for block in states.chunk(-(-len(states) // _ROWS)):
            mine = np.flatnonzero((low <= rows) & (rows < low + len(block)))
            values[mine], first[mine] = self._read(block, rows[mine] - low, targets[mine])
            low += len(block)
        return values, first

    def _read(self, states: Tensor, rows: np.ndarray, targets: np.ndarray) -> tuple[Tensor, Tensor]:
        logits, first = torch.empty(len(rows)), torch.empty(len(rows), dtype=torch.bool)
        sums, largest = [], []
        home = np.minimum(targets // self._width, len(self.parts) - 1)
        for number, part in enumerate(self.parts):
            mine = np.flatnonzero(home == number)
            found = readings(part(states), rows[mine], targets[mine] - number * self._width)
            logits[mine], first[mine] = found.logits, found.are_first
            sums.append(found.sums)
            largest.append(found.largest)
        total = torch.stack(sums).logsumexp(0)[rows]
        best = torch.stack(largest).argmax(0)[rows]
        return logits - total, first & (best == torch.from_numpy(home))


def layer_of(model: Any) -> OutputLayer | None:
    """A model's output layer, where it is in parts."""
    layer = model.get_output_embeddings()
    return layer if isinstance(layer, OutputLayer) else None


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    outputs, inputs = weight.shape
    made = nn.Linear(inputs, outputs, bias is not None, device="meta")
    made.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias, requires_grad=False)
    return made
