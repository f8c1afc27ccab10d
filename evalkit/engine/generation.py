"""Text generation: finished texts leave, waiting ones enter, and none depends on its neighbours."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch

from evalkit.engine import plain
from evalkit.engine.budget import Budget, is_out_of_memory
from evalkit.engine.device import on_device
from evalkit.engine.forest import plan_passes
from evalkit.engine.forward import ForestRunner
from evalkit.engine.loading import LoadedModel
from evalkit.engine.recording import RecordedSteps, Recorder, can_record
from evalkit.engine.rows import RowCache, next_logits
from evalkit.engine.step import Step, StepDecoder
from evalkit.engine.tokenization import Span
from evalkit.engine.writing import Row, Writer
from evalkit.errors import EvaluationError, UsageError
from evalkit.types import Decoding, Response


class Generator:
    """Generates text with one model.

    Args:
        loaded: The model.
        planned: Whether its attention goes by plans; if not, texts are made one by one.
        budget: Its rows are the most texts side by side, its tokens the most prompt tokens in a
            pass; `budget` afterwards is what it was halved to.
        step: Computes the passes in the model's stead, where it is exported or compiled.

    Attributes:
        bytes_per_token: Of keys and values over all layers; None where the model keeps them itself.
        cut: Prompts whose beginnings did not fit beside their new tokens.
    """

    def __init__(
        self, loaded: LoadedModel, planned: bool, budget: Budget, step: Step | None = None
    ) -> None:
        self._loaded, self._step = loaded, step
        self._writer = Writer(loaded)
        self._recorder = Recorder(loaded.device)
        self.budget = budget
        self.cut = 0
        self.bytes_per_token = _bytes_per_token(loaded) if planned else None
        if step is not None:
            numbers = sum(heads * size for heads, size in step.shapes)
            self.bytes_per_token = numbers * step.dtype.itemsize

    def generate(
        self, prompts: Sequence[list[int]], decodings: Sequence[Decoding]
    ) -> Iterator[list[tuple[int, Response, bool]]]:
        """Yield (index, response, whether all logits were finite), a list whenever some finish.

        Args:
            prompts: Token ids of each prompt.
            decodings: How to continue each.

        Raises:
            UsageError: A request asks for more new tokens than the model's context holds.
            EvaluationError: Memory does not suffice for one text alone.
        """
        rows = [
            self._row(i, prompt, decoding)
            for i, (prompt, decoding) in enumerate(zip(prompts, decodings, strict=True))
        ]
        self.cut += sum(len(row.prompt) < len(prompts[row.index]) for row in rows)
        empty = [row for row in rows if row.decoding.max_new_tokens < 1]
        yield [(row.index, self._response(row), True) for row in empty]
        asking = sorted((r for r in rows if r.decoding.max_new_tokens), key=lambda row: row.prompt)
        waiting = {row.index: row for row in asking}
        while waiting:
            try:
                for done in self._make(list(waiting.values())):
                    for row in done:
                        del waiting[row.index]
                    yield [(row.index, self._response(row), row.is_finite) for row in done]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.budget = self.budget.halved()
                waiting = {i: self._row(i, prompts[i], row.decoding) for i, row in waiting.items()}

    def time(
        self, prompts: Sequence[list[int]], decodings: Sequence[Decoding]
    ) -> Iterator[tuple[int, Response, bool]]:
        """Generate texts of exactly `max_new_tokens` side by side and time them.

        Stop tokens and strings do not end them, so that every request does the same work. A token's
        time runs from the call to when it was known here, on the monotonic clock.

        Args:
            prompts: Token ids of each prompt; as many as the budget has rows are begun at once.
            decodings: How to continue each.

        Yields:
            Index, response and whether all logits were finite.

        Raises:
            EvaluationError: Memory does not suffice for them side by side.
        """
        rows = [
            self._row(i, prompt, decoding)
            for i, (prompt, decoding) in enumerate(zip(prompts, decodings, strict=True))
        ]
        for row in rows:
            row.times = []
        start = time.perf_counter()
        for done in self._made_at_once(rows):
            for row in done:
                response = Response(
                    text=self._writer.text(row.tokens),
                    prompt_tokens=len(row.prompt),
                    output_tokens=len(row.tokens),
                    token_s=tuple(now - start for now in row.times or ()),
                )
                yield row.index, response, row.is_finite

    def _made_at_once(self, rows: list[Row]) -> Iterator[list[Row]]:
        """As `_make`; a smaller pass would be another measurement."""
        try:
            yield from self._make(rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise EvaluationError(
                f"Memory does not suffice for {len(rows)} texts side by side; lower --batch-sizes."
            ) from error

    def _row(self, index: int, prompt: list[int], decoding: Decoding) -> Row:
        room = self._loaded.max_length - decoding.max_new_tokens
        if room <= 0:
            raise UsageError(
                f"A request asks for {decoding.max_new_tokens} new tokens, but the model's context "
                f"is {self._loaded.max_length}; lower max_gen_toks in the task."
            )
        longest_stop = max((len(stop.encode()) for stop in decoding.until), default=0)
        kept = (prompt or [self._loaded.prefix_token])[-room:]
        row = Row(index, kept, decoding, longest_stop + 8)
        if decoding.temperature > 0:
            row.random = torch.Generator().manual_seed(decoding.seed)
        return row

    def _make(self, rows: list[Row]) -> Iterator[list[Row]]:
        if not rows:
            return
        if self.bytes_per_token is not None:
            capacity = max(len(row.prompt) + row.decoding.max_new_tokens for row in rows)
            slots = min(self.budget.rows, len(rows))
            if not _are_timed(rows):  # those begin at once, however much they hold
                held = self.budget.cache_bytes // (capacity * self.bytes_per_token)
                slots = max(1, min(held, slots))
            if self._step is not None:
                yield from StepDecoder(
                    self._step, self._writer, rows, slots, self._loaded.device
                ).run()
            else:
                recorder = self._recorder if self._may_record(rows) else None
                yield from _Decoder(
                    self._loaded, self._writer, self.budget.tokens, rows, slots, capacity, recorder
                ).run()
            return
        for row in rows:
            ends = partial(self._ends, row)
            row.tokens = plain.generate(self._loaded, row.prompt, row.decoding, ends)
            yield [row]

    def _may_record(self, rows: Sequence[Row]) -> bool:
        """To record a step takes longer than a token, which must not be one whose time is asked."""
        return self._recorder.works and not _are_timed(rows) and can_record(self._loaded.model)

    def _ends(self, row: Row, tokens: list[int]) -> bool:
        if row.times is not None:
            row.times.append(time.perf_counter())
        row.tokens = tokens
        return self._writer.is_finished(row)

    def _response(self, row: Row) -> Response:
        text = self._writer.text(row.tokens)
        cuts = [text.find(stop) for stop in row.decoding.until if stop in text]
        return Response(
            text=text[: min(cuts)] if cuts else text,
            prompt_tokens=len(row.prompt),
            output_tokens=len(row.tokens),
        )


class _Decoder:
    """Runs rows to their ends: prompts enter through a forest, then one token a step."""

    def __init__(
        self,
        loaded: LoadedModel,
        writer: Writer,
        prefill: int,
        rows: list[Row],
        slots: int,
        capacity: int,
        recorder: Recorder | None,
    ) -> None:
        self._model, self._device = loaded.model, loaded.device
        self._writer = writer
        self._runner = ForestRunner(loaded)
        self._waiting = deque(rows)
        self._active: list[Row] = []
        self._slots = slots
        self._prefill = prefill
        lengths = torch.zeros(self._slots, dtype=torch.long, device=self._device)
        self._cache = RowCache(self._slots, capacity, lengths)
        self._recorded = recorder and RecordedSteps(self._model, self._cache, recorder)

    @torch.inference_mode()
    def run(self) -> Iterator[list[Row]]:
        while self._waiting or self._active:
            done = []
            free = self._slots - len(self._active)
            if self._waiting and (free >= self._slots // 4 or not self._active) and free:
                done += self._enter(free)
            if self._active:
                done += self._step()
            if done:
                yield done

    def _enter(self, count: int) -> list[Row]:
        """Prefill waiting prompts, shared prefixes once; return those that end at once."""
        rows = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        # Neighbouring rows attend together, so they should be of a length.
        rows.sort(key=lambda row: len(row.prompt))
        spans = [Span((*row.prompt, 0), 1) for row in rows]
        for step in plan_passes(spans, self._prefill, self._prefill):
            found, plan = self._runner.run(step, remember=True)
            if not len(step.places):
                continue
            lines = on_device(step.rows, self._device)
            self._writer.choose(found.logits()[lines], [rows[owner] for owner in step.owners])
            places = len(self._active) + step.owners
            self._cache.insert(places, [step.path(at) for at in step.places], plan.with_prefix())
        self._active += rows
        return self._leave()

    def _step(self) -> list[Row]:
        newest = [row.tokens[-1] for row in self._active]
        if self._recorded:
            longest = max(len(row.prompt) + len(row.tokens) for row in self._active)
            logits = self._recorded.logits(newest, longest)
        else:
            ids = on_device(np.array(newest), self._device)
            logits = next_logits(self._model, self._cache, ids[:, None])
        self._cache.advance(len(newest))
        self._writer.choose(logits, self._active)
        return self._leave()

    def _leave(self) -> list[Row]:
        """Take finished rows out, the last one moving into each gap."""
        done = []
        for place in reversed(range(len(self._active))):
            if self._writer.is_finished(self._active[place]):
                done.append(self._active[place])
                last = self._active.pop()
                if place < len(self._active):
                    self._active[place] = last
                    self._cache.move(len(self._active), place)
        if done:
            self._cache.leave(len(self._active))
        return done


def _are_timed(rows: Sequence[Row]) -> bool:
    return any(row.times is not None for row in rows)


def _bytes_per_token(loaded: LoadedModel) -> int:
    """Size of one token's keys and values over all layers, by asking the model."""
    (step,) = plan_passes([Span((loaded.prefix_token, 0), 1)], 1, 1)
    _, plan = ForestRunner(loaded).run(step, remember=True)
    return sum(part.nbytes for pair in plan.own.values() for part in pair)
