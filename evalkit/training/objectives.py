"""What is foretold: the next token, or those that are masked."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from evalkit.training.packing import Ids

IGNORED = -100
"""Label of a place that nothing is learnt from."""
_MASKED, _SWAPPED = 0.8, 0.1

Form = Callable[[Ids, int], dict[str, torch.Tensor]]


def form_causal(context: int, padding: int) -> Form:
    """Inputs and labels alike; the model itself compares each place with the token after it.

    The first place is foretold from nothing and has no label: models that do not declare the kind
    of their loss would have it counted among the tokens that the loss is a mean over.
    """

    def form(ids: Ids, place: int) -> dict[str, torch.Tensor]:
        inputs, labels = _empty(context, padding)
        known = torch.from_numpy(ids.astype(np.int64))
        inputs[: len(known)] = known
        labels[1 : len(known)] = known[1:]
        return {"input_ids": inputs, "labels": labels}

    return form


def form_masked(context: int, tokenizer: PreTrainedTokenizerFast, share: float, seed: int) -> Form:
    """BERT's masking (arXiv 1810.04805): of the chosen places 80 % masked, 10 % another token.

    The draw belongs to the seed and the sequence's place, so that it is the same in every process
    and after a resume, and another one when the text comes round again.
    """
    special = np.array(sorted(set(tokenizer.all_special_ids)))

    def form(ids: Ids, place: int) -> dict[str, torch.Tensor]:
        inputs, labels = _empty(context, tokenizer.pad_token_id)
        draw = np.random.default_rng([seed, place])
        known = ids.astype(np.int64)
        chosen = (draw.random(len(known)) < share) & ~np.isin(known, special)
        if not chosen.any():
            chosen[int(draw.integers(len(known)))] = True
        fate = draw.random(len(known))
        shown = np.where(chosen & (fate < _MASKED), tokenizer.mask_token_id, known)
        other = draw.integers(len(tokenizer), size=len(known))
        swapped = chosen & (fate >= _MASKED) & (fate < _MASKED + _SWAPPED)
        inputs[: len(known)] = torch.from_numpy(np.where(swapped, other, shown))
        labels[: len(known)] = torch.from_numpy(np.where(chosen, known, IGNORED))
        return {"input_ids": inputs, "labels": labels}

    return form


def masked_loss(
    outputs: Mapping[str, torch.Tensor], labels: torch.Tensor, num_items_in_batch: Any = None
) -> torch.Tensor:
    """Cross-entropy over the labelled places of a whole step, in nats a token.

    Masked models take the mean over their own part of a step; parts with more masks than others
    would weigh less.
    """
    logits = outputs["logits"].float()
    total = functional.cross_entropy(
        logits.view(-1, logits.shape[-1]), labels.view(-1), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)


def _empty(context: int, padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((context,), padding), torch.full((context,), IGNORED)
