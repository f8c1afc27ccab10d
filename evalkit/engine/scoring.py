"""Log-likelihoods of spans: packed into forests, or batched where a model ignores the mask."""

import inspect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from evalkit.engine.forest import Pack, plan_packs
from evalkit.engine.loading import LoadedModel
from evalkit.engine.tokenization import Span

TOKEN_BUDGET = 1024
CHUNK = 256
SELF_CHECK_TOLERANCE = {torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 2e-1}


class SpanScore(NamedTuple):
    """Log-likelihood in nats, whether greedy decoding would say the same, and finiteness."""

    loglikelihood: float
    is_greedy: bool
    is_finite: bool


class Scorer:
    """Scores spans with one model; `packed` says which of the two ways it found to be right.

    Args:
        loaded: The model.
        most_spans: Most spans in one forward pass; None for as many as the token budget holds.
    """

    def __init__(self, loaded: LoadedModel, most_spans: int | None = None) -> None:
        self._model = loaded.model
        self._device = loaded.device
        self._most_spans = most_spans
        self._keeps_logits = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
        config = loaded.model.config.get_text_config()
        self._window: int | None = getattr(config, "sliding_window", None)
        self.packed = self._keeps_logits and self._mask_is_honoured(loaded)

    def score(self, spans: Sequence[Span]) -> Iterator[list[tuple[int, SpanScore]]]:
        """Yield (index into `spans`, score), a list for each forward pass."""
        fits = [self.packed and (not self._window or len(s.tokens) <= self._window) for s in spans]
        packable = [i for i, fit in enumerate(fits) if fit]
        plain = [i for i, fit in enumerate(fits) if not fit]
        for pack in plan_packs([spans[i] for i in packable], TOKEN_BUDGET, self._most_spans):
            members = [packable[m] for m in pack.members]
            yield list(
                zip(members, self._score_pack(pack, [spans[i] for i in members]), strict=True)
            )
        plain.sort(key=lambda i: -len(spans[i].tokens))
        step = self._most_spans or max(1, TOKEN_BUDGET // max(map(_length, spans), default=1))
        for start in range(0, len(plain), step):
            batch = plain[start : start + step]
            yield list(zip(batch, self._score_batch([spans[i] for i in batch]), strict=True))

    @torch.inference_mode()
    def _score_pack(self, pack: Pack, spans: Sequence[Span]) -> list[SpanScore]:
        places = sorted({place for path in pack.predictors for place in path})
        row_of = {place: row for row, place in enumerate(places)}
        allowed = torch.from_numpy(pack.ancestors).to(self._device)
        dtype = self._model.dtype
        mask = torch.zeros(allowed.shape, dtype=dtype, device=self._device)
        mask.masked_fill_(~allowed, torch.finfo(dtype).min)
        logits = self._model(
            input_ids=torch.from_numpy(pack.tokens)[None].to(self._device),
            position_ids=torch.from_numpy(pack.depths)[None].to(self._device),
            attention_mask=mask[None, None],
            logits_to_keep=torch.tensor(places, device=self._device),
            use_cache=False,
        ).logits[0]
        rows = [row_of[place] for path in pack.predictors for place in path]
        return self._read(logits, rows, spans)

    @torch.inference_mode()
    def _score_batch(self, spans: Sequence[Span]) -> list[SpanScore]:
        """Right-padded; a causal model's predictions do not see the padding behind them."""
        width = max(len(span.tokens) - 1 for span in spans)
        ids = torch.zeros(len(spans), width, dtype=torch.long)
        seen = torch.zeros(len(spans), width, dtype=torch.long)
        for row, span in enumerate(spans):
            ids[row, : len(span.tokens) - 1] = torch.tensor(span.tokens[:-1])
            seen[row, : len(span.tokens) - 1] = 1
        first = min(len(span.tokens) - 1 - span.scored for span in spans)
        kept = {"logits_to_keep": width - first} if self._keeps_logits else {}
        logits = self._model(
            input_ids=ids.to(self._device),
            attention_mask=seen.to(self._device),
            use_cache=False,
            **kept,
        ).logits[:, -(width - first) :]
        rows = [
            row * logits.shape[1] + place - first
            for row, span in enumerate(spans)
            for place in range(len(span.tokens) - 1 - span.scored, len(span.tokens) - 1)
        ]
        return self._read(logits.flatten(0, 1), rows, spans)

    def _read(self, logits: Tensor, rows: list[int], spans: Sequence[Span]) -> list[SpanScore]:
        """Log-probabilities of the spans' scored tokens from the rows that predict them."""
        targets = torch.tensor([t for span in spans for t in span.tokens[-span.scored :]])
        index = torch.tensor(rows)
        values, greedy = [], []
        for start in range(0, len(rows), CHUNK):
            part = logits[index[start : start + CHUNK].to(logits.device)].float()
            wanted = targets[start : start + CHUNK].to(logits.device)
            picked = part.gather(-1, wanted[:, None])[:, 0]
            values.append((picked - part.logsumexp(-1)).cpu())
            greedy.append((part.argmax(-1) == wanted).cpu())
        counts = [span.scored for span in spans]
        parts = zip(
            torch.split(torch.cat(values), counts),
            torch.split(torch.cat(greedy), counts),
            strict=True,
        )
        return [
            SpanScore(float(v.double().sum()), bool(g.all()), bool(v.isfinite().all()))
            for v, g in parts
        ]

    def _mask_is_honoured(self, loaded: LoadedModel) -> bool:
        """Whether a few packed spans get the scores they get one by one."""
        vocabulary = min(loaded.model.config.get_text_config().vocab_size, len(loaded.tokenizer))
        length = min(12, loaded.max_length)
        generator = torch.Generator().manual_seed(0)
        draws = torch.randint(vocabulary, (4, length + 1), generator=generator).tolist()
        shared = draws[0][: length // 2]
        spans = [Span(tuple(shared + row[length // 2 :]), length // 2) for row in draws[:3]]
        spans.append(Span(tuple(draws[3]), length // 2))
        alone = [self._score_batch([span])[0] for span in spans]
        try:
            pack = next(plan_packs(spans, TOKEN_BUDGET, None))
            packed = dict(
                zip(
                    pack.members,
                    self._score_pack(pack, [spans[i] for i in pack.members]),
                    strict=True,
                )
            )
        except (RuntimeError, ValueError, TypeError, AttributeError):
            return False
        allowed = SELF_CHECK_TOLERANCE.get(self._model.dtype, 1e-3)
        pairs = [(packed[i].loglikelihood, alone[i].loglikelihood) for i in range(len(spans))]
        return all(abs(a - b) <= allowed * max(1.0, abs(b)) or a != a for a, b in pairs)


def _length(span: Span) -> int:
    return len(span.tokens)
