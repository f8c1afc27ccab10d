"""Runs the passes of a forest through a model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evalkit.engine.attention import Layer, attending
from evalkit.engine.device import on_device
from evalkit.engine.forest import Pass, Places
from evalkit.engine.loading import LoadedModel
from evalkit.engine.output_layer import OutputLayer, layer_of
from evalkit.engine.reading import read

# Neighbouring subtrees smaller than this attend together: one call costs more than the masked
# waste, on an accelerator many times more. One of twice the size is cut where it branches.
_GROUP, _GROUP_OF_ACCELERATORS = 96, 1024
# A comb, a text with an answer every few words, would be cut into as many groups as it has answers.
_DEEPEST = 16

KeyValues = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a pass says of the tokens that follow its distinct places, in order of place.

    Attributes:
        states: Logits, shape (places, vocabulary); with a `layer`, what it makes them from.
        layer: An output layer that is read in parts.
    """

    states: Tensor
    layer: OutputLayer | None

    def logits(self) -> Tensor:
        """Shape (places, vocabulary)."""
        return self.states if self.layer is None else self.layer.logits(self.states)

    def read(self, rows: Places, targets: Places) -> tuple[Tensor, Tensor]:
        """As `reading.read`."""
        if self.layer is not None:
            return self.layer.read(self.states, rows, targets)
        return read(self.states, rows, targets)


class ForestRunner:
    """Runs passes in order and keeps the keys and values of the trunks that are stood on."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._model = loaded.model
        self._device = loaded.device
        self._prefix: dict[int, KeyValues] = {}
        self._lengths: list[int] = []

    @torch.inference_mode()
    def run(self, step: Pass, remember: bool = False) -> tuple[Predictions, "ForestAttention"]:
        """What is predicted at the pass's distinct places, and the attention used.

        Args:
            step: Passes have to come in the planner's order.
            remember: Keep this pass's own keys and values in the returned attention.
        """
        prefix = self._stand_on(step.level)
        places = np.unique(step.places)
        wanted = places if len(places) else np.zeros(1, np.int64)
        plan = ForestAttention(
            step,
            prefix,
            self._model.dtype,
            self._device,
            remember or step.keep,
            on_device(wanted, self._device),
        )
        with attending(plan):
            states = self._model(
                input_ids=on_device(step.tokens, self._device)[None],
                position_ids=on_device(step.depths, self._device)[None],
                logits_to_keep=plan.wanted,
                use_cache=False,
            ).logits[0]
        if step.keep:
            self._prefix = plan.with_prefix()
            self._lengths.append(int(step.depths[-1]) + 1)
        return Predictions(states[: len(places)], layer_of(self._model)), plan

    def forget(self) -> None:
        """Let go of all trunks."""
        self._stand_on(0)

    def _stand_on(self, level: int) -> dict[int, KeyValues]:
        """Keys and values of the lowest `level` trunks; those above are dropped."""
        if level < len(self._lengths):
            del self._lengths[level:]
            kept = self._lengths[-1] if self._lengths else 0
            self._prefix = {
                layer: (key[:, :, :kept], value[:, :, :kept])
                for layer, (key, value) in (self._prefix.items() if kept else ())
            }
        return self._prefix


@dataclass
class ForestAttention:
    """Each token sees the prefix, its ancestors and itself.

    Attributes:
        step: The pass.
        prefix: Layer -> keys and values of all trunks below, each (1, heads, tokens, size).
        wanted: Places whose predictions are asked.
        own: Layer -> keys and values of the pass itself, where they are remembered.
        windows: Layer that has attended -> its window.
    """

    step: Pass
    prefix: dict[int, KeyValues]
    dtype: torch.dtype
    device: torch.device
    remember: bool
    wanted: Tensor
    own: dict[int, KeyValues] = field(default_factory=dict)
    windows: dict[int, int | None] = field(default_factory=dict)
    _masks: dict[int | None, list[tuple["Group", Tensor | None]]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens of the pass."""
        return len(self.step.tokens)

    def attend(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend group by group: subtrees do not see each other, but all see their ancestors."""
        self.windows[layer.index] = layer.window
        if self.remember:
            self.own[layer.index] = key, value
        before = self.prefix.get(layer.index)
        result = torch.empty(
            *query.shape[:-1], value.shape[-1], dtype=query.dtype, device=query.device
        )
        for group, mask in self._groups(layer.window):
            keys, values = (
                _along(group, part, below)
                for part, below in zip((key, value), before or (None, None), strict=True)
            )
            own = slice(group.low, group.high)
            result[:, :, own] = layer.attention(query[:, :, own], keys, values, mask)
        return result

    def with_prefix(self) -> dict[int, KeyValues]:
        """Keys and values of the trunks below and of this pass, layer by layer."""
        if not self.prefix:
            return self.own
        return {
            layer: (
                torch.cat([self.prefix[layer][0], k], 2),
                torch.cat([self.prefix[layer][1], v], 2),
            )
            for layer, (k, v) in self.own.items()
        }

    def _groups(self, window: int | None) -> list[tuple["Group", Tensor | None]]:
        """The groups, each with its mask."""
        deepest = int(self.step.depths.max())
        window = window if window is not None and window <= deepest else None
        if window not in self._masks:
            size = _GROUP if self.device.type == "cpu" else _GROUP_OF_ACCELERATORS
            groups = _cut(self.step.ends, 0, len(self.step.ends), (), size)
            self._masks[window] = [(group, self._mask(group, window)) for group in groups]
        return self._masks[window]

    def _mask(self, group: "Group", window: int | None) -> Tensor | None:
        """Added to the scores, shape (tokens, seen and own tokens); None where plainly causal."""
        own = slice(group.low, group.high)
        below = np.arange(int(self.step.depths[0]) if self.prefix else 0)
        above = np.concatenate([below, *(self.step.depths[low:high] for low, high in group.path)])
        if not len(above) and window is None and (self.step.ends[own] == group.high).all():
            return None
        ends, depths = (
            on_device(part, self.device) for part in (self.step.ends[own], self.step.depths[own])
        )
        place = torch.arange(group.low, group.high, device=self.device)
        hidden = place.new_zeros(len(place), len(above) + len(place), dtype=torch.bool)
        hidden[:, len(above) :] = (place[:, None] < place) | (place[:, None] >= ends)
        if window is not None:
            hidden |= depths[:, None] - torch.cat([on_device(above, self.device), depths]) >= window
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device)
        return mask.masked_fill_(hidden, -torch.inf)


class Group(NamedTuple):
    """Tokens that attend together.

    Attributes:
        low: First place.
        high: One more than the last place.
        path: Runs of places (first, one more than the last) of their common ancestors.
    """

    low: int
    high: int
    path: tuple[tuple[int, int], ...]


def _cut(
    ends: Places, low: int, high: int, path: tuple[tuple[int, int], ...], size: int
) -> Iterator[Group]:
    """Groups of neighbouring subtrees; a large subtree's stem, and what branches from it, apart."""
    start = place = low
    while place < high:
        end = int(ends[place])
        is_large = end - place >= 2 * size and len(path) < _DEEPEST
        stem = _stem(ends, place, end) if is_large else end
        if stem < end:
            if start < place:
                yield Group(start, place, path)
            yield Group(place, stem, path)
            yield from _cut(ends, stem, end, (*path, (place, stem)), size)
            start = end
        elif end - start >= size or end == high:
            yield Group(start, end, path)
            start = end
        place = end


def _stem(ends: Places, low: int, high: int) -> int:
    """One more than the last place before the subtree branches."""
    branched = np.flatnonzero(ends[low:high] != high)
    return low + int(branched[0]) if len(branched) else high


def _along(group: Group, own: Tensor, below: Tensor | None) -> Tensor:
    """What a group's tokens may see of keys or values: the prefix, their ancestors, themselves."""
    runs = [*group.path, (group.low, group.high)]
    parts = [own[:, :, low:high] for low, high in runs]
    parts = parts if below is None else [below, *parts]
    return torch.cat(parts, 2) if len(parts) > 1 else parts[0]
