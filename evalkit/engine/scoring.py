"""Log-likelihoods of spans."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evalkit.engine.budget import Budget, is_out_of_memory
from evalkit.engine.forest import Pass, needed_passes, plan_passes
from evalkit.engine.forward import ForestRunner
from evalkit.engine.loading import LoadedModel
from evalkit.engine.plain import positions_depend_on_length, score_batch
from evalkit.engine.reading import read
from evalkit.engine.self_check import forest_is_right, output_layer_is_split
from evalkit.engine.step import Step
from evalkit.engine.step import score_batch as step_batch
from evalkit.engine.tokenization import Span

NO_PLAN = "does not allow planned attention"


class SpanScore(NamedTuple):
    """Log-likelihood in nats, whether greedy decoding would say the same, and finiteness."""

    loglikelihood: float
    is_greedy: bool
    is_finite: bool


class Scorer:
    """Scores spans with one model; `packed` says which of the two ways it found to be right.

    Args:
        loaded: The model.
        budget: The most a pass holds; `budget` afterwards is what it was halved to, and without
            a limit on predictions where their logits need not be kept.
        step: Computes the passes in the model's stead, where it is exported or compiled.
    """

    def __init__(self, loaded: LoadedModel, budget: Budget, step: Step | None = None) -> None:
        self._loaded, self._step = loaded, step
        self.budget = budget
        self._runner = ForestRunner(loaded)
        self._alone = positions_depend_on_length(loaded.model.config.get_text_config())
        self.packed = not (step or self._alone) and forest_is_right(
            loaded, self._runner, self._score_one
        )
        on_cpu = loaded.device.type == "cpu"
        if self.packed and on_cpu and output_layer_is_split(loaded, self._runner):
            self.budget = replace(budget, predictions=None)

    @property
    def why_plain(self) -> str:
        """Why requests are batched plainly, where they are."""
        if self._step is not None:
            return f"is computed by {self._step.name}"
        return "has positions that change with the longest text" if self._alone else NO_PLAN

    def score(
        self, spans: Sequence[Span], known: Collection[int] = ()
    ) -> Iterator[list[tuple[int, SpanScore]]]:
        """Yield (index into `spans`, score), a list for each forward pass that completes some.

        Args:
            spans: In any order.
            known: Indices of spans whose scores are not wanted; they take part in the planning, so
                that the others' scores are the same to the last bit as if all were asked.

        Raises:
            EvaluationError: Memory does not suffice for the smallest pass.
        """
        skipped = np.zeros(len(spans), dtype=bool)
        skipped[list(known)] = True
        way = self._score_forest if self.packed else self._score_plainly
        while not skipped.all():
            try:
                for batch in way(spans, skipped.copy()):
                    new = [(i, score) for i, score in batch if not skipped[i]]
                    skipped[[i for i, _ in new]] = True
                    yield new
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.budget = self.budget.halved()
                self._runner.forget()

    def _score_forest(
        self, spans: Sequence[Span], skipped: NDArray[np.bool_]
    ) -> Iterator[list[tuple[int, SpanScore]]]:
        totals = np.zeros(len(spans))
        greedy = np.ones(len(spans), dtype=bool)
        missing = np.array([span.scored for span in spans])
        for step, values, right in self._read_passes(spans, skipped):
            np.add.at(totals, step.owners, values.cpu().numpy())
            np.logical_and.at(greedy, step.owners, right.cpu().numpy())
            np.subtract.at(missing, step.owners, 1)
            done = [int(i) for i in np.unique(step.owners) if not missing[i]]
            yield [
                (i, SpanScore(float(totals[i]), bool(greedy[i]), bool(np.isfinite(totals[i]))))
                for i in done
            ]
        self._runner.forget()

    def _read_passes(
        self, spans: Sequence[Span], skipped: NDArray[np.bool_]
    ) -> Iterator[tuple[Pass, Tensor, Tensor]]:
        """Passes with what `read` says of them; an accelerator is at the next one meanwhile."""
        budget, running = self.budget, deque[tuple[Pass, Tensor, Tensor]]()
        ahead = 0 if self._loaded.device.type == "cpu" else 1
        passes = plan_passes(
            spans, budget.tokens, budget.predictions or budget.tokens, budget.spans
        )
        for step in needed_passes(passes, skipped):
            found, _ = self._runner.run(step)
            if len(step.places):
                running.append((step, *found.read(step.rows, step.targets)))
            if len(running) > ahead:
                yield running.popleft()
        yield from running

    def _score_plainly(
        self, spans: Sequence[Span], skipped: NDArray[np.bool_]
    ) -> Iterator[list[tuple[int, SpanScore]]]:
        order = sorted(range(len(spans)), key=lambda i: -len(spans[i].tokens))
        longest = len(spans[order[0]].tokens) if order else 1
        step = 1 if self._alone else self.budget.spans or max(1, self.budget.tokens // longest)
        for start in range(0, len(order), step):
            batch = order[start : start + step]
            if skipped[batch].all():
                continue
            scores = self._score_alike([spans[i] for i in batch])
            yield list(zip(batch, scores, strict=True))

    def _score_one(self, span: Span) -> float:
        return self._score_alike([span])[0].loglikelihood

    def _score_alike(self, spans: Sequence[Span]) -> list[SpanScore]:
        if self._step is not None:
            logits, rows = step_batch(self._step, spans, self._loaded.device)
        else:
            logits, rows = score_batch(self._loaded, spans)
        targets = np.array([token for span in spans for token in span.tokens[-span.scored :]])
        found, hits = read(logits, np.array(rows), targets)
        values, right = found.cpu().double().numpy(), hits.cpu().numpy()
        cuts = np.cumsum([span.scored for span in spans])[:-1]
        return [
            SpanScore(float(v.sum()), bool(g.all()), bool(np.isfinite(v).all()))
            for v, g in zip(np.split(values, cuts), np.split(right, cuts), strict=True)
        ]
