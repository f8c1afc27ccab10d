"""One forward pass with keys and values as plain tensors: what can be exported, and compiled.

`OnnxStep` and `compiled_step` answer for such a pass; texts are batched plainly, for the forest's
plans cannot be handed to either.
"""

import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from evalkit.engine.plain import padded, positions_depend_on_length
from evalkit.engine.tokenization import Span
from evalkit.engine.writing import Row, Writer
from evalkit.errors import UsageError

_NEEDED = ("position_ids", "past_key_values", "logits_to_keep")


class Step(Protocol):
    """A forward pass over some texts, and what it leaves for the next.

    Attributes:
        name: What computes it, for people.
        shapes: Heads and size of each tensor of keys or values, layer by layer.
        dtype: Of their numbers.
    """

    name: str
    shapes: Sequence[tuple[int, int]]
    dtype: torch.dtype

    def __call__(
        self, ids: Tensor, seen: Tensor, positions: Tensor, wanted: Tensor, past: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Read tokens after others.

        Args:
            ids: New tokens, shape (texts, new).
            seen: 1 for each token that is none of the padding, shape (texts, past + new).
            positions: Of the new tokens, shape (texts, new).
            wanted: Columns of `ids` whose predictions are wanted, shape (n,).
            past: Keys and values of the tokens before, each (texts, heads, past, size).

        Returns:
            Logits of shape (texts, n, vocabulary), and keys and values with the new tokens.
        """


class StepModule(nn.Module):
    """A transformers model as a step.

    Raises:
        UsageError: The model does not keep its keys and values in a way that could be handed over.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        names = inspect.signature(model.forward).parameters
        if missing := [name for name in _NEEDED if name not in names]:
            raise UsageError(_unfit(model, f"its forward pass takes no {missing[0]}"))
        if positions_depend_on_length(model.config.get_text_config()):
            # What is written for one length would silently be wrong at another.
            raise UsageError(_unfit(model, "its positions change with the longest text"))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        wanted: Tensor,
        past: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """As `Step.__call__`, in one flat tuple."""
        cache = DynamicCache()
        for place in range(0, len(past), 2):
            cache.update(past[place], past[place + 1], place // 2)
        found = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=wanted,
        )
        kept = [part for layer in cache.layers for part in (layer.keys, layer.values)]
        return (found.logits, *kept)


@torch.no_grad()
def cache_shapes(module: StepModule, token: int) -> list[tuple[int, int]]:
    """Heads and size of each tensor that a step leaves, by asking the model for two tokens.

    Raises:
        UsageError: It leaves something else, as a state-space model does.
    """
    device = module.model.device
    ids = torch.full((1, 2), token, device=device)
    places = torch.arange(2, device=device)
    try:
        kept = module(ids, torch.ones_like(ids), places[None], places[:1], [])[1:]
    except (RuntimeError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise UsageError(_unfit(module.model, " ".join(str(error).split())[:200])) from error
    layers = module.model.config.get_text_config().num_hidden_layers
    if len(kept) != 2 * layers or any(part.dim() != 4 or part.shape[2] != 2 for part in kept):
        raise UsageError(_unfit(module.model, "not every layer keeps keys and values"))
    return [(int(part.shape[1]), int(part.shape[3])) for part in kept]


@torch.inference_mode()
def furthest_logit(step: Step, module: StepModule, vocabulary: int, longest: int) -> float:
    """How far a step's logits lie from the model's own, as a share of the largest of them.

    One text and several, the first tokens, one more and another: every kind of pass there is.

    Args:
        step: What is to be trusted.
        module: The model.
        vocabulary: Tokens there are.
        longest: Most tokens in a text.
    """
    random = torch.Generator().manual_seed(0)
    device, length = module.model.device, min(24, longest)
    worst = 0.0
    for texts in (1, 3):
        ids = torch.randint(vocabulary, (texts, length), generator=random).to(device)
        past = start(step, texts, device)
        for low, high in ((0, length - 2), (length - 2, length - 1), (length - 1, length)):
            places = torch.arange(low, high, device=device)
            asked = (
                ids[:, low:high],
                torch.ones_like(ids[:, :high]),
                places.expand(texts, high - low),
                torch.tensor([high - low - 1], device=device),
            )
            expected, *after = module(*asked, past)
            found, _ = step(*asked, past)
            past = after
            largest = max(1.0, float(expected.abs().max()))
            worst = max(worst, float((found - expected).abs().max()) / largest)
    return worst


def _unfit(model: Any, why: str) -> str:
    return f"{type(model).__name__} cannot be run step by step outside transformers: {why}."


def start(step: Step, texts: int, device: torch.device) -> list[Tensor]:
    """Keys and values before the first token."""
    return [
        torch.zeros(texts, heads, 0, size, dtype=step.dtype, device=device)
        for heads, size in step.shapes
    ]


@torch.inference_mode()
def score_batch(
    step: Step, spans: Sequence[Span], device: torch.device
) -> tuple[Tensor, list[int]]:
    """As `plain.score_batch`, by a step."""
    batch = padded(spans)
    ids, seen = batch.ids.to(device), batch.seen.to(device)
    width = ids.shape[1]
    places = torch.arange(width, device=device)
    logits, _ = step(
        ids,
        seen,
        places.expand(len(spans), width),
        places[batch.first :],
        start(step, len(spans), device),
    )
    return logits.flatten(0, 1), batch.rows


class StepDecoder:
    """Makes texts in batches that begin together, padded on the left; rows leave as they end."""

    def __init__(
        self, step: Step, writer: Writer, rows: list[Row], slots: int, device: torch.device
    ) -> None:
        self._step, self._writer, self._device = step, writer, device
        self._waiting = deque(rows)
        self._slots = slots

    @torch.inference_mode()
    def run(self) -> Iterator[list[Row]]:
        """Yield rows as they are finished."""
        while self._waiting:
            count = min(self._slots, len(self._waiting))
            yield from self._together([self._waiting.popleft() for _ in range(count)])

    def _together(self, rows: list[Row]) -> Iterator[list[Row]]:
        width = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        seen = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, width - len(row.prompt) :] = torch.tensor(row.prompt)
            seen[place, width - len(row.prompt) :] = 1
        ids, seen = ids.to(self._device), seen.to(self._device)
        positions = (seen.cumsum(-1) - 1).clamp(min=0)
        wanted = torch.tensor([width - 1], device=self._device)
        past = start(self._step, len(rows), self._device)
        while True:
            logits, past = self._step(ids, seen, positions, wanted, past)
            self._writer.choose(logits[:, -1], rows)
            done = [place for place, row in enumerate(rows) if self._writer.is_finished(row)]
            if done:
                yield [rows[place] for place in done]
                rows, seen, past = _without(done, rows, seen, past)
            if not rows:
                return
            ids = torch.tensor([[row.tokens[-1]] for row in rows], device=self._device)
            seen = torch.cat([seen, torch.ones_like(ids)], dim=1)
            positions = seen.sum(-1, keepdim=True) - 1
            wanted = torch.zeros(1, dtype=torch.long, device=self._device)


def _without(
    done: list[int], rows: list[Row], seen: Tensor, past: list[Tensor]
) -> tuple[list[Row], Tensor, list[Tensor]]:
    """What is left once some texts have ended."""
    staying = [place for place in range(len(rows)) if place not in set(done)]
    chosen = torch.tensor(staying, dtype=torch.long, device=seen.device)
    left = [part.index_select(0, chosen) for part in past] if staying else []
    return [rows[place] for place in staying], seen.index_select(0, chosen), left
