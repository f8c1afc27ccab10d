"""The plain way: right-padded batches and transformers' own generation, for any causal model.

Used where a model's attention cannot be planned (state-space and ALiBi models), and as the
reference that the forest is checked against on loading.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from evalkit.engine.loading import LoadedModel
from evalkit.engine.tokenization import Span
from evalkit.types import Decoding


def positions_depend_on_length(config: Any) -> bool:
    """Whether the rotary positions change with the longest text of a batch (longrope, dynamic)."""
    settings = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    return isinstance(settings, dict) and settings.get("rope_type") in ("longrope", "dynamic")


class Padded(NamedTuple):
    """Spans side by side, padded on the right.

    Attributes:
        ids: What the model reads, shape (spans, width).
        seen: 1 for each token that is none of the padding, of the same shape.
        first: First column whose prediction is wanted of any span.
        rows: For each scored token, span by span, where its prediction is among those of the
            columns from `first` on, row by row.
    """

    ids: Tensor
    seen: Tensor
    first: int
    rows: list[int]


def padded(spans: Sequence[Span]) -> Padded:
    """Lay spans into one batch."""
    width = max(len(span.tokens) - 1 for span in spans)
    ids = torch.zeros(len(spans), width, dtype=torch.long)
    seen = torch.zeros(len(spans), width, dtype=torch.long)
    for row, span in enumerate(spans):
        ids[row, : len(span.tokens) - 1] = torch.tensor(span.tokens[:-1])
        seen[row, : len(span.tokens) - 1] = 1
    first = min(len(span.tokens) - 1 - span.scored for span in spans)
    rows = [
        row * (width - first) + place - first
        for row, span in enumerate(spans)
        for place in range(len(span.tokens) - 1 - span.scored, len(span.tokens) - 1)
    ]
    return Padded(ids, seen, first, rows)


@torch.inference_mode()
def score_batch(loaded: LoadedModel, spans: Sequence[Span]) -> tuple[Tensor, list[int]]:
    """Logits of one right-padded batch, and the rows that predict the spans' scored tokens.

    A causal model's predictions do not see the padding behind them.

    Returns:
        Logits of shape (rows, vocabulary), and for each scored token, span by span, its row.
    """
    batch = padded(spans)
    wanted = batch.ids.shape[1] - batch.first
    keeps = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
    logits = loaded.model(
        input_ids=batch.ids.to(loaded.device),
        attention_mask=batch.seen.to(loaded.device),
        use_cache=False,
        **({"logits_to_keep": wanted} if keeps else {}),
    ).logits[:, -wanted:]
    return logits.flatten(0, 1), batch.rows


@torch.inference_mode()
def generate(
    loaded: LoadedModel,
    prompt: Sequence[int],
    decoding: Decoding,
    is_finished: Callable[[list[int]], bool],
) -> list[int]:
    """New tokens after one prompt, by transformers' own `generate`.

    Args:
        loaded: The model.
        prompt: Token ids.
        decoding: How to continue; its stop strings are the caller's to find.
        is_finished: Asked after each token with all new ones so far.
    """
    ids = torch.tensor([list(prompt)], device=loaded.device)
    torch.manual_seed(decoding.seed)
    sampling = (
        {
            "do_sample": True,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": 0,
        }
        if decoding.temperature > 0
        else {"do_sample": False}
    )
    made = loaded.model.generate(
        ids,
        generation_config=GenerationConfig(),
        attention_mask=torch.ones_like(ids),
        max_new_tokens=decoding.max_new_tokens,
        pad_token_id=loaded.prefix_token,
        eos_token_id=None,
        stopping_criteria=StoppingCriteriaList([_Finished(ids.shape[1], is_finished)]),
        **sampling,
    )
    return [int(token) for token in made[0, ids.shape[1] :]]


class _Finished(StoppingCriteria):  # type: ignore[misc]
    def __init__(self, width: int, is_finished: Callable[[list[int]], bool]) -> None:
        self._width = width
        self._is_finished = is_finished

    def __call__(self, input_ids: Tensor, scores: Tensor, **settings: object) -> Tensor:
        done = self._is_finished([int(token) for token in input_ids[0, self._width :]])
        return torch.tensor([done], device=input_ids.device)
