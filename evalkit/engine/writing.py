"""A text in the making: which token comes next, and when it ends."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evalkit.engine.loading import LoadedModel
from evalkit.types import Decoding


@dataclass(slots=True)
class Row:
    """One text in the making.

    Attributes:
        stop_window: Newest tokens in which a stop string that has just ended must lie.
        times: When each token was known, on the monotonic clock; None where nobody asks. A text
            that is timed ends only at its token limit.
    """

    index: int
    prompt: list[int]
    decoding: Decoding
    stop_window: int
    times: list[float] | None = None
    tokens: list[int] = field(default_factory=list)
    random: torch.Generator | None = None
    is_finite: bool = True


class Writer:
    """Chooses tokens and finds the ends of texts of one model."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    def choose(self, logits: Tensor, rows: Sequence[Row]) -> list[int]:
        """Append each row's next token; logits have shape (rows, vocabulary)."""
        # The largest is NaN or infinite where any of them is.
        largest, places = logits.max(-1)
        found = torch.stack([places, largest.isfinite().long()]).tolist()
        chosen: list[int] = found[0]
        now = time.perf_counter()  # the device has caught up, for the figures are here
        for i, row in enumerate(rows):
            row.is_finite = row.is_finite and bool(found[1][i])
            if row.random is not None and found[1][i]:
                chosen[i] = _sample(logits[i].float().cpu(), row.decoding, row.random)
            row.tokens.append(chosen[i])
            if row.times is not None:
                row.times.append(now)
        return chosen

    def is_finished(self, row: Row) -> bool:
        """Whether the newest token ends the text; only its tail is decoded to find stop strings."""
        if len(row.tokens) >= row.decoding.max_new_tokens or not row.is_finite:
            return True
        if row.times is not None:
            return False
        if row.tokens[-1] in self._loaded.stop_tokens:
            return True
        if not row.decoding.until:
            return False
        tail = self.text(row.tokens[-row.stop_window :])
        return any(stop in tail for stop in row.decoding.until)

    def text(self, tokens: list[int]) -> str:
        """Tokens as text, without special ones."""
        return str(self._loaded.tokenizer.decode(tokens, skip_special_tokens=True))


def _sample(logits: Tensor, decoding: Decoding, random: torch.Generator) -> int:
    """One draw from the nucleus (Holtzman et al. 2020) of the tempered distribution."""
    probabilities = (logits / decoding.temperature).softmax(-1)
    if decoding.top_p < 1.0:
        ordered, order = probabilities.sort(descending=True)
        outside = ordered.cumsum(-1) - ordered >= decoding.top_p
        probabilities = torch.zeros_like(probabilities).scatter(
            -1, order, ordered.masked_fill(outside, 0.0)
        )
    return int(torch.multinomial(probabilities, 1, generator=random)[0])
