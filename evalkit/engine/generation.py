"""Text generation: batched decoding in which no text depends on its neighbours."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from evalkit.engine.loading import LoadedModel
from evalkit.errors import UsageError
from evalkit.types import Decoding, Response

ROWS = 16


@dataclass(slots=True)
class _Row:
    """One text in the making."""

    index: int
    prompt: list[int]
    decoding: Decoding
    stop_window: int
    tokens: list[int] = field(default_factory=list)
    random: torch.Generator | None = None
    is_finite: bool = True
    endless: bool = False


class Generator:
    """Generates text with one model.

    Args:
        loaded: The model.
        rows: Most texts generated side by side.
    """

    def __init__(self, loaded: LoadedModel, rows: int | None = None) -> None:
        self._loaded = loaded
        self._model = loaded.model
        self._tokenizer = loaded.tokenizer
        self._rows = rows or ROWS
        self._pad = loaded.prefix_token

    def generate(
        self, prompts: Sequence[list[int]], decodings: Sequence[Decoding]
    ) -> Iterator[list[tuple[int, Response, bool]]]:
        """Yield (index, response, whether all logits were finite), a list for each batch.

        Args:
            prompts: Token ids of each prompt.
            decodings: How to continue each; texts with other settings are not batched together.

        Raises:
            UsageError: A request asks for more new tokens than the model's context holds.
        """
        groups: dict[int, list[_Row]] = defaultdict(list)
        for index, (prompt, decoding) in enumerate(zip(prompts, decodings, strict=True)):
            groups[decoding.max_new_tokens].append(self._row(index, prompt, decoding))
        for rows in groups.values():
            rows.sort(key=lambda row: -len(row.prompt))
            for start in range(0, len(rows), self._rows):
                batch = rows[start : start + self._rows]
                self._decode(batch)
                yield [(row.index, self._response(row), row.is_finite) for row in batch]

    def time(self, prompt: list[int], decoding: Decoding) -> tuple[Response, bool]:
        """Generate one text of exactly `max_new_tokens` alone and time it.

        Stop tokens and strings do not end it, so that every request does the same work.
        `first_token_s` runs from the request to the first token, `total_s` to the last, both on the
        monotonic clock with the device synchronised.
        """
        row = self._row(0, prompt, decoding)
        row.endless = True
        clock = _Clock(self._loaded.device)
        self._decode([row], clock)
        response = self._response(row)
        return (
            Response(
                text=response.text,
                prompt_tokens=response.prompt_tokens,
                output_tokens=response.output_tokens,
                first_token_s=clock.first,
                total_s=clock.last,
            ),
            row.is_finite,
        )

    def _row(self, index: int, prompt: list[int], decoding: Decoding) -> _Row:
        room = self._loaded.max_length - decoding.max_new_tokens
        if room <= 0:
            raise UsageError(
                f"A request asks for {decoding.max_new_tokens} new tokens, but the model's context "
                f"is {self._loaded.max_length}; lower max_gen_toks in the task."
            )
        longest_stop = max((len(stop.encode()) for stop in decoding.until), default=0)
        row = _Row(index, (prompt or [self._pad])[-room:], decoding, longest_stop + 8)
        if decoding.temperature > 0:
            row.random = torch.Generator().manual_seed(decoding.seed)
        return row

    @torch.inference_mode()
    def _decode(self, rows: list[_Row], clock: "_Clock | None" = None) -> None:
        """Fill each row's tokens; finished rows leave the batch at once."""
        ids, mask = self._left_padded(rows)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache: Any = DynamicCache(config=self._model.config)
        active = list(rows)
        for _ in range(rows[0].decoding.max_new_tokens):
            output = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            step = self._next_tokens(output.logits[:, -1].float(), active)
            if clock:
                clock.tick()
            alive = [i for i, row in enumerate(active) if not self._finished(row)]
            if not alive:
                return
            if len(alive) < len(active):
                keep = torch.tensor(alive, device=ids.device)
                cache.batch_select_indices(keep)
                mask, positions, step = mask[keep], positions[keep], step[keep]
                active = [active[i] for i in alive]
            ids = step[:, None]
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def _left_padded(self, rows: list[_Row]) -> tuple[Tensor, Tensor]:
        width = max(len(row.prompt) for row in rows)
        ids = torch.full((len(rows), width), self._pad, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, width - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[i, width - len(row.prompt) :] = 1
        return ids.to(self._loaded.device), mask.to(self._loaded.device)

    def _next_tokens(self, logits: Tensor, rows: list[_Row]) -> Tensor:
        finite = (~logits.isnan()).all(-1).tolist()
        chosen = logits.argmax(-1)
        for i, row in enumerate(rows):
            row.is_finite = row.is_finite and finite[i]
            if row.random is not None and finite[i]:
                chosen[i] = _sample(logits[i].cpu(), row.decoding, row.random)
            row.tokens.append(int(chosen[i]))
        return chosen

    def _finished(self, row: _Row) -> bool:
        """Whether the newest token ends the text; only its tail is decoded to find stop strings."""
        if row.endless:
            return False
        if row.tokens[-1] in self._loaded.stop_tokens:
            return True
        if not row.decoding.until:
            return False
        tail = self._text(row.tokens[-row.stop_window :])
        return any(stop in tail for stop in row.decoding.until)

    def _response(self, row: _Row) -> Response:
        text = self._text(row.tokens)
        cuts = [text.find(stop) for stop in row.decoding.until if stop in text]
        return Response(
            text=text[: min(cuts)] if cuts else text,
            prompt_tokens=len(row.prompt),
            output_tokens=len(row.tokens),
        )

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


class _Clock:
    """Notes when the first and the newest token were there, in seconds since its making."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.first: float | None = None
        self.last = 0.0
        self._start = time.perf_counter()

    def tick(self) -> None:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        self.last = time.perf_counter() - self._start
        self.first = self.first if self.first is not None else self.last


def _sample(logits: Tensor, decoding: Decoding, random: torch.Generator) -> Tensor:
    """One draw from the nucleus (Holtzman et al. 2020) of the tempered distribution."""
    probabilities = (logits / decoding.temperature).softmax(-1)
    if decoding.top_p < 1.0:
        ordered, order = probabilities.sort(descending=True)
        outside = ordered.cumsum(-1) - ordered >= decoding.top_p
        probabilities = torch.zeros_like(probabilities).scatter(
            -1, order, ordered.masked_fill(outside, 0.0)
        )
    return torch.multinomial(probabilities, 1, generator=random)[0]
