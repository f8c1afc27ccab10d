"""Requests as token spans: what the model reads, and which of its predictions count."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from evalkit.types import Request, RequestKind


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A token sequence of which the last `scored` tokens are to be predicted.

    The model reads `tokens[:-1]`; its last `scored` predictions are compared with the tokens.
    """

    tokens: tuple[int, ...]
    scored: int


class Encoder:
    """Turns texts into spans exactly as lm-eval's TemplateLM and HFLM do, but in batches.

    Args:
        prefix_token: Stands before a text that has no context.
        max_length: Longest input of the model, in tokens.

    Attributes:
        cut: How many requests so far were longer than the model's input.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, prefix_token: int, max_length: int
    ) -> None:
        self._tokenizer = tokenizer
        self._prefix = prefix_token
        self._max_length = max_length
        self.cut = 0
        self._prefix_text = tokenizer.decode([prefix_token])

    def encode(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """Token ids of each distinct text; a text that opens with BOS is not given another."""
        ids: dict[str, list[int]] = {}
        distinct = list(dict.fromkeys(texts))
        opened = [bool(self._prefix_text) and t.startswith(self._prefix_text) for t in distinct]
        for has_bos, settings in ((False, {}), (True, {"add_special_tokens": False})):
            group = [text for text, flag in zip(distinct, opened, strict=True) if flag == has_bos]
            if group:
                batch = self._tokenizer(group, return_attention_mask=False, **settings)
                ids.update(zip(group, batch["input_ids"], strict=True))
        return ids

    def spans(self, requests: Sequence[Request]) -> list[list[Span]]:
        """The spans whose log-likelihoods sum to each request's.

        Args:
            requests: Of kind `LOGLIKELIHOOD` or `ROLLING`.
        """
        pairs = [self._split(request) for request in requests]
        ids = self.encode([text for pair in pairs for text in pair if text])
        bare = self._encode_bare([r for r in requests if not r.context])
        spans = []
        for request, (context, whole) in zip(requests, pairs, strict=True):
            if request.kind is RequestKind.ROLLING:
                tokens = [self._prefix, *ids.get(request.continuation, [])]
                scored = len(tokens) - 1
            elif not context:
                tokens = bare[request.continuation]
                if not tokens or tokens[0] != self._prefix:
                    tokens = [self._prefix, *tokens]
                scored = len(tokens) - 1
            elif not ids[context]:
                # Characters the tokenizer does not know at all; the model still has to start.
                tokens = [self._prefix, *ids[whole]]
                scored = len(tokens) - 1
            else:
                tokens = ids[whole]
                scored = len(tokens) - _kept(ids[context], tokens, bool(request.continuation))
            if request.kind is RequestKind.LOGLIKELIHOOD and len(tokens) - 1 > self._max_length:
                self.cut += 1
            spans.append(windows(tokens, scored, self._max_length))
        return spans

    @staticmethod
    def _split(request: Request) -> tuple[str, str]:
        """(context, whole text), trailing spaces of the context moved to the continuation."""
        if request.kind is RequestKind.ROLLING:
            return "", request.continuation
        stripped = request.context.rstrip()
        return stripped or request.context, request.context + request.continuation

    def _encode_bare(self, requests: Sequence[Request]) -> dict[str, list[int]]:
        texts = [r.continuation for r in requests if r.kind is RequestKind.LOGLIKELIHOOD]
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return {}
        batch = self._tokenizer(distinct, add_special_tokens=False, return_attention_mask=False)
        return dict(zip(distinct, batch["input_ids"], strict=True))


def _kept(context: Sequence[int], whole: Sequence[int], continued: bool) -> int:
    """Tokens of the whole that are context; those unchanged where a continuation merged in."""
    if list(context) == list(whole):
        return len(whole)
    if len(whole) > len(context) or not continued:
        return min(len(context), len(whole))
    alike = zip(context, whole, strict=False)
    unchanged = next((i for i, (a, b) in enumerate(alike) if a != b), len(whole))
    return max(min(unchanged, len(whole) - 1), 1)


def windows(tokens: Sequence[int], scored: int, max_length: int) -> list[Span]:
    """Cut a sequence into spans that fit the model, each scored token in exactly one of them.

    A continuation that fits keeps as much context as fits, cut from the left. A longer one is read
    in windows of `max_length`, the last of which has the most context it can: these are lm-eval's
    rolling windows.
    """
    if scored == 0:
        return []
    if scored <= max_length:
        return [Span(tuple(tokens[-(max_length + 1) :]), scored)]
    start = len(tokens) - scored
    spans = []
    while start < len(tokens):
        end = min(start + max_length, len(tokens))
        spans.append(Span(tuple(tokens[max(end - max_length - 1, 0) : end]), end - start))
        start = end
    return spans
