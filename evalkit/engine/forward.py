"""Runs the passes of a forest through a model."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from evalkit.engine.attention import Layer, attending
from evalkit.engine.forest import Pass, Places
from evalkit.engine.loading import LoadedModel

# Neighbouring trees smaller than this attend together: one call costs more than the masked waste.
_GROUP = 128

KeyValues = tuple[Tensor, Tensor]


class ForestRunner:
    """Runs passes in order and keeps the keys and values of the trunks that are stood on."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._model = loaded.model
        self._device = loaded.device
        self._prefix: dict[int, KeyValues] = {}
        self._lengths: list[int] = []

    @torch.inference_mode()
    def run(self, step: Pass, remember: bool = False) -> tuple[Tensor, "ForestAttention"]:
        """Logits of shape (distinct places, vocabulary), in order of place, and the attention used.

        Args:
            step: Passes have to come in the planner's order.
            remember: Keep this pass's own keys and values in the returned attention.
        """
        prefix = self._stand_on(step.level)
        plan = ForestAttention(step, prefix, self._model.dtype, self._device, remember or step.keep)
        places = np.unique(step.places)
        with attending(plan):
            logits = self._model(
                input_ids=_row(step.tokens, self._device),
                position_ids=_row(step.depths, self._device),
                logits_to_keep=torch.from_numpy(
                    places if len(places) else np.zeros(1, np.int64)
                ).to(self._device),
                use_cache=False,
            ).logits[0]
        if step.keep:
            self._prefix = plan.with_prefix()
            self._lengths.append(int(step.depths[-1]) + 1)
        return logits[: len(places)], plan

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
        own: Layer -> keys and values of the pass itself, where they are remembered.
    """

    step: Pass
    prefix: dict[int, KeyValues]
    dtype: torch.dtype
    device: torch.device
    remember: bool
    own: dict[int, KeyValues] = field(default_factory=dict)
    _masks: dict[int | None, list[tuple[int, int, Tensor | None]]] = field(default_factory=dict)

    def attend(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend group by group: trees of the forest do not see each other."""
        if self.remember:
            self.own[layer.index] = key, value
        before = self.prefix.get(layer.index)
        result = torch.empty(
            *query.shape[:-1], value.shape[-1], dtype=query.dtype, device=query.device
        )
        for low, high, mask in self._groups(layer.window):
            keys, values = key[:, :, low:high], value[:, :, low:high]
            if before is not None:
                keys, values = torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)
            result[:, :, low:high] = layer.attention(query[:, :, low:high], keys, values, mask)
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

    def _groups(self, window: int | None) -> list[tuple[int, int, Tensor | None]]:
        """(first place, one past the last, mask) of each group of trees."""
        deepest = int(self.step.depths.max())
        window = window if window is not None and window <= deepest else None
        if window not in self._masks:
            self._masks[window] = [
                (low, high, self._mask(low, high, window)) for low, high in _cuts(self.step.ends)
            ]
        return self._masks[window]

    def _mask(self, low: int, high: int, window: int | None) -> Tensor | None:
        """Added to the scores, shape (tokens, prefix + tokens); None where plainly causal."""
        ends = self.step.ends[low:high]
        before = int(self.step.depths[0]) if self.prefix else 0
        if not before and window is None and (ends == high).all():
            return None
        place = np.arange(low, high)
        seen = (place[:, None] >= place) & (place[:, None] < ends)
        if before:
            seen = np.concatenate([np.ones((high - low, before), dtype=bool), seen], axis=1)
        if window is not None:
            depths = self.step.depths[low:high]
            distance = depths[:, None] - np.concatenate([np.arange(before), depths])
            seen &= distance < window
        mask = torch.zeros(seen.shape, dtype=self.dtype)
        mask.masked_fill_(torch.from_numpy(~seen), -torch.inf)
        return mask.to(self.device)


def _cuts(ends: Places) -> list[tuple[int, int]]:
    """Borders of groups: whole trees, small ones together."""
    cuts, low, place = [], 0, 0
    while place < len(ends):
        place = int(ends[place])
        if place - low >= _GROUP or place == len(ends):
            cuts.append((low, place))
            low = place
    return cuts


def _row(values: Places, device: torch.device) -> Tensor:
    return torch.from_numpy(values)[None].to(device)
