"""The local engine: a checkpoint in this process answers requests."""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, Protocol

import torch

from evalkit.engine.budget import Budget
from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.computed import load
from evalkit.engine.cpu import pack_linears
from evalkit.engine.device import device_name
from evalkit.engine.generation import Generator
from evalkit.engine.loading import load_tokenizer
from evalkit.engine.scoring import Scorer
from evalkit.engine.tokenization import Encoder, Span
from evalkit.engine.tuning import tuned
from evalkit.types import Decoding, Request, RequestKind, Response


class NonFiniteError(ArithmeticError):
    """The model's logits for a request were NaN or infinite; `index` says which request."""

    def __init__(self, index: int) -> None:
        super().__init__(f"logits of request {index} are not finite")
        self.index = index


class Engine(Protocol):
    """What answers requests."""

    def respond(
        self, requests: Sequence[Request], answered: Collection[int] = ()
    ) -> Iterator[list[tuple[int, Response]]]:
        """Answer the requests in any order: lists of (index into `requests`, response).

        Those whose indices are in `answered` are left out.
        """


class LocalEngine:
    """Answers requests with a checkpoint loaded into this process.

    Args:
        checkpoint: The checked folder.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` for the checkpoint's own.
        batch_size: Most requests in one forward pass; None for the usual budget, `auto` for what a
            short measurement finds quickest here, threads included.
        compiled: Whether torch.compile makes the forward pass; requests are then batched plainly.

    Raises:
        DataError: The tokenizer or the weights cannot be loaded or do not fit each other.
        UsageError: The device or dtype is not available.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        dtype: str = "float32",
        batch_size: int | Literal["auto"] | None = None,
        compiled: bool = False,
    ) -> None:
        started = time.perf_counter()
        tokenizer = load_tokenizer(checkpoint)
        self.loaded, self._step = load(checkpoint, tokenizer, device, dtype, compiled)
        self._encoder = Encoder(tokenizer, self.loaded.prefix_token, self.loaded.max_length)
        most = batch_size if isinstance(batch_size, int) else None
        usual = Budget.for_model(self.loaded.model, self.loaded.device, most)
        self._scorer = Scorer(self.loaded, usual, self._step)
        self.packed_weights = (
            self._scorer.packed
            and self.loaded.device.type == "cpu"
            and pack_linears(self.loaded.model)
        )
        if batch_size == "auto" and self._scorer.packed:
            self._scorer.budget = tuned(self.loaded, self._scorer.budget)
        self._wanted = self._scorer.budget
        self._generator = Generator(self.loaded, self._scorer.packed, self._wanted, self._step)
        self.load_s = time.perf_counter() - started
        self._remarks = _ignored_settings(self.loaded.model.generation_config)
        if not self._scorer.packed:
            self._remarks.append(
                f"{checkpoint.architecture} {self._scorer.why_plain}; "
                "its requests are batched plainly."
            )

    @property
    def warnings(self) -> list[str]:
        """What a reader of the figures has to know, as far as the engine has got."""
        return [*self.remarks, *too_long(self.cut, self.max_length)]

    @property
    def remarks(self) -> list[str]:
        """The warnings, without the count of requests that were too long."""
        remarks = list(self._remarks)
        scored, made = self._scorer.budget, self._generator.budget
        if (scored.tokens, made.rows) != (self._wanted.tokens, self._wanted.rows):
            remarks.append(
                f"Memory ran out; passes were made smaller, to {scored.tokens} tokens and "
                f"{made.rows} texts side by side."
            )
        return remarks

    @property
    def cut(self) -> int:
        """How many requests so far were too long, so that their beginnings were cut."""
        return self._encoder.cut + self._generator.cut

    @property
    def max_length(self) -> int:
        """Longest input of the model, in tokens."""
        return self.loaded.max_length

    @property
    def settings(self) -> dict[str, object]:
        """What the engine chose, for the manifest; none of it changes a figure beyond rounding."""
        scored, made = self._scorer.budget, self._generator.budget
        return {
            "forest": self.is_forest,
            "packed_weights": self.packed_weights,
            "threads": torch.get_num_threads(),
            "token_budget": scored.tokens,
            "rows": made.rows,
            **({"computed_by": self._step.name} if self._step else {}),
        }

    def count_tokens(self, text: str) -> int:
        """Tokens of a text as a prompt."""
        return len(self._encoder.encode([text])[text])

    @property
    def cache_bytes_per_token(self) -> int | None:
        """Bytes of keys and values that a token adds; None where the model keeps them itself."""
        return self._generator.bytes_per_token

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.loaded.device

    @property
    def device_name(self) -> str:
        """The accelerator's model, or `cpu`."""
        return device_name(self.loaded.device)

    @property
    def is_forest(self) -> bool:
        """Whether requests are laid into forests, or answered plainly."""
        return self._scorer.packed

    def respond(
        self, requests: Sequence[Request], answered: Collection[int] = ()
    ) -> Iterator[list[tuple[int, Response]]]:
        """Answer the requests in any order: lists of (index into `requests`, response).

        Equal requests are computed once. Those whose indices are in `answered` are left out;
        log-likelihoods of the others are the same to the last bit as if all were asked with this
        budget.

        Raises:
            NonFiniteError: The model answered with NaN or infinite logits; the first such request
                in the given order is named.
        """
        known = frozenset(answered)
        try:
            yield from self._answer(requests, known)
        except NonFiniteError as error:
            raise NonFiniteError(self._first_non_finite(requests, known, error.index)) from None

    def _answer(
        self, requests: Sequence[Request], answered: frozenset[int] = frozenset()
    ) -> Iterator[list[tuple[int, Response]]]:
        missing = [(i, r.kind) for i, r in enumerate(requests) if i not in answered]
        scored = [i for i, r in enumerate(requests) if r.kind in _SCORED]
        texts = [i for i, kind in missing if kind is RequestKind.GENERATE]
        timed = [i for i, kind in missing if kind is RequestKind.TIMED]
        if not answered.issuperset(scored):
            yield from self._score(requests, scored, answered)
        yield from self._generate(requests, texts)
        yield from self._time(requests, timed)

    def _first_non_finite(
        self, requests: Sequence[Request], answered: frozenset[int], found: int
    ) -> int:
        """A broken request spoils its neighbours' scores, so the first is looked for by halves."""
        asked = [i for i in range(len(requests)) if i not in answered]
        low, high = 0, len(asked) - 1
        while low < high:
            middle = (low + high) // 2
            if self._is_broken([requests[i] for i in asked[low : middle + 1]]):
                high = middle
            else:
                low = middle + 1
        return asked[low] if self._is_broken([requests[asked[low]]]) else found

    def _is_broken(self, requests: Sequence[Request]) -> bool:
        try:
            for _ in self._answer(requests):
                pass
        except NonFiniteError:
            return True
        return False

    def _score(
        self, requests: Sequence[Request], indices: list[int], answered: frozenset[int]
    ) -> Iterator[list[tuple[int, Response]]]:
        spans = self._encoder.spans([requests[i] for i in indices])
        distinct: dict[Span, list[int]] = {}
        for index, parts in zip(indices, spans, strict=True):
            for span in parts:
                distinct.setdefault(span, []).append(index)
        unanswered = {
            i: len(parts) for i, parts in zip(indices, spans, strict=True) if i not in answered
        }
        found: dict[int, tuple[float, bool]] = dict.fromkeys(indices, (0.0, True))
        tokens = dict(zip(indices, spans, strict=True))
        empty = _scored_response((0.0, True), ())
        yield [(i, empty) for i, count in unanswered.items() if not count]
        order = list(distinct)
        known = [place for place, span in enumerate(order) if answered.issuperset(distinct[span])]
        for batch in self._scorer.score(order, known):
            done = []
            for place, score in batch:
                for index in (i for i in distinct[order[place]] if i in unanswered):
                    if not score.is_finite:
                        raise NonFiniteError(index)
                    total, greedy = found[index]
                    found[index] = (total + score.loglikelihood, greedy and score.is_greedy)
                    unanswered[index] -= 1
                    if not unanswered[index]:
                        done.append((index, _scored_response(found[index], tokens[index])))
            yield done

    def _generate(
        self, requests: Sequence[Request], indices: list[int]
    ) -> Iterator[list[tuple[int, Response]]]:
        same: dict[tuple[str, Decoding], list[int]] = {}
        for i in indices:
            same.setdefault((requests[i].context, _decoding(requests[i])), []).append(i)
        keys = list(same)
        ids = self._encoder.encode([context for context, _ in keys])
        prompts = [ids[context] for context, _ in keys]
        for batch in self._generator.generate(prompts, [decoding for _, decoding in keys]):
            for place, _, is_finite in batch:
                if not is_finite:
                    raise NonFiniteError(same[keys[place]][0])
            yield [(i, response) for place, response, _ in batch for i in same[keys[place]]]

    def _time(
        self, requests: Sequence[Request], indices: list[int]
    ) -> Iterator[list[tuple[int, Response]]]:
        ids = self._encoder.encode([requests[i].context for i in indices])
        batches: dict[object, list[int]] = {}
        for i in indices:
            batches.setdefault(requests[i].batch or i, []).append(i)
        for batch in batches.values():
            prompts = [ids[requests[i].context] for i in batch]
            found = []
            for place, response, is_finite in self._generator.time(
                prompts, [_decoding(requests[i]) for i in batch]
            ):
                if not is_finite:
                    raise NonFiniteError(batch[place])
                found.append((batch[place], response))
            yield found


def too_long(cut: int, max_length: int) -> list[str]:
    """A sentence where requests were cut.

    Args:
        cut: How many.
        max_length: Longest input of the model, in tokens.
    """
    return (
        [
            f"{cut} requests are longer than the model's context of {max_length} tokens; their "
            "beginnings were cut."
        ]
        if cut
        else []
    )


def _ignored_settings(config: Any) -> list[str]:
    """A sentence where the checkpoint asks for decoding that would bend greedy text."""
    neutral = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
    bent = [k for k, v in neutral.items() if (getattr(config, k, None) or v) != v]
    return (
        [f"generation_config.json sets {', '.join(bent)}; evalkit decodes without."] if bent else []
    )


_SCORED = (RequestKind.LOGLIKELIHOOD, RequestKind.ROLLING)


def _decoding(request: Request) -> Decoding:
    return request.decoding or Decoding()


def _scored_response(found: tuple[float, bool], spans: Sequence[Span]) -> Response:
    scored = sum(span.scored for span in spans)
    return Response(
        loglikelihood=found[0],
        is_greedy=found[1],
        prompt_tokens=len(spans[0].tokens) - spans[0].scored if spans else 0,
        output_tokens=scored,
    )
