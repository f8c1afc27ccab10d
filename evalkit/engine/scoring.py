"""Log-likelihoods of spans."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evalkit.engine.attention import use_plans
from evalkit.engine.budget import TOKENS, Budget, is_out_of_memory
from evalkit.engine.forest import Pass, needed_passes, plan_passes
from evalkit.engine.forward import ForestRunner
from evalkit.engine.loading import LoadedModel
from evalkit.engine.plain import score_batch
from evalkit.engine.tokenization import Span

# Rows of logits that stay in the cache while they are summed.
CHUNK = 8
# Of a log-likelihood, in the self-check.
RELATIVE_TOLERANCE = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 3e-2}


class SpanScore(NamedTuple):
    """Log-likelihood in nats, whether greedy decoding would say the same, and finiteness."""

    loglikelihood: float
    is_greedy: bool
    is_finite: bool


class Scorer:
    """Scores spans with one model; `packed` says which of the two ways it found to be right.

    Args:
        loaded: The model.
        budget: The most a pass holds; `budget` afterwards is what it was halved to.
    """

    def __init__(self, loaded: LoadedModel, budget: Budget) -> None:
        self._loaded = loaded
        self.budget = budget
        self._runner = ForestRunner(loaded)
        self._alone = _positions_depend_on_length(loaded.model.config.get_text_config())
        self.packed = not self._alone and self._forest_is_right()

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
        budget = self.budget
        passes = plan_passes(spans, budget.tokens, budget.predictions, budget.spans)
        for step in needed_passes(passes, skipped):
            logits, _ = self._runner.run(step)
            if not len(step.places):
                continue
            values, right = read(logits, step.rows, step.targets)
            np.add.at(totals, step.owners, values)
            np.logical_and.at(greedy, step.owners, right)
            np.subtract.at(missing, step.owners, 1)
            done = [int(i) for i in np.unique(step.owners) if not missing[i]]
            yield [
                (i, SpanScore(float(totals[i]), bool(greedy[i]), bool(np.isfinite(totals[i]))))
                for i in done
            ]
        self._runner.forget()

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

    def _score_alike(self, spans: Sequence[Span]) -> list[SpanScore]:
        logits, rows = score_batch(self._loaded, spans)
        targets = np.array([token for span in spans for token in span.tokens[-span.scored :]])
        values, right = read(logits, np.array(rows), targets)
        cuts = np.cumsum([span.scored for span in spans])[:-1]
        return [
            SpanScore(float(v.sum()), bool(g.all()), bool(np.isfinite(v).all()))
            for v, g in zip(np.split(values, cuts), np.split(right, cuts), strict=True)
        ]

    def _forest_is_right(self) -> bool:
        """Whether a few spans get the scores in a forest, trunk and all, that they get alone."""
        spans = _check_spans(self._loaded)
        alone = [self._score_alike([span])[0].loglikelihood for span in spans]
        before = self._loaded.model.config._attn_implementation
        if not use_plans(self._loaded.model):
            return False
        try:
            packed = [_sums(self._runner, passes, len(spans)) for passes in _check_plans(spans)]
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError):
            packed = [[float("inf")] * len(spans)]
        allowed = RELATIVE_TOLERANCE.get(self._loaded.model.dtype, 1e-5)
        # A model that answers NaN is refused later, with the sample's name.
        right = all(
            np.isnan(b) or abs(a - b) <= allowed * max(1.0, abs(b))
            for found in packed
            for a, b in zip(found, alone, strict=True)
        )
        if not right:
            self._loaded.model.set_attn_implementation(before)
        return right


def _positions_depend_on_length(config: Any) -> bool:
    """Whether the rotary positions change with the longest text of a batch (longrope, dynamic)."""
    settings = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    return isinstance(settings, dict) and settings.get("rope_type") in ("longrope", "dynamic")


@torch.inference_mode()
def read(logits: Tensor, rows: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (float64) of target tokens, and whether each is the most likely.

    Args:
        logits: Shape (rows, vocabulary).
        rows: Which row predicts each target, shape (n,).
        targets: Token ids, shape (n,).
    """
    row, target = (torch.from_numpy(part).to(logits.device) for part in (rows, targets))
    picked = logits[row, target].float()
    parts = torch.split(logits, CHUNK)
    totals = torch.cat([part.float().logsumexp(-1) for part in parts])
    # A comparison with the largest is many times quicker than asking for its place.
    right = picked == torch.cat([part.amax(-1) for part in parts]).float()[row]
    hits = right.nonzero()[:, 0]
    # Of equal logits the first counts, as everywhere else.
    right[hits] = logits[row[hits]].argmax(-1) == target[hits]
    return (picked - totals[row]).double().cpu().numpy(), right.cpu().numpy()


def _sums(runner: ForestRunner, passes: Iterator[Pass], count: int) -> list[float]:
    totals = np.zeros(count)
    for step in passes:
        logits, _ = runner.run(step)
        if len(step.places):
            np.add.at(totals, step.owners, read(logits, step.rows, step.targets)[0])
    return [float(total) for total in totals]


def _check_plans(spans: Sequence[Span]) -> list[Iterator[Pass]]:
    """All spans in one pass; and so few tokens a pass that their common prefix becomes a trunk."""
    length = len(spans[0].tokens)
    return [plan_passes(spans, tokens, TOKENS) for tokens in (TOKENS, length * 3 // 4)]


def _check_spans(loaded: LoadedModel) -> list[Span]:
    """Random spans that share a prefix, some of them twice branched, and one that stands alone."""
    vocabulary = min(loaded.model.config.get_text_config().vocab_size, len(loaded.tokenizer))
    length = min(48, loaded.max_length)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(vocabulary, (6, length + 1), generator=generator).tolist()
    half, most = length // 2, length * 3 // 4
    shared = [draws[0][:half] + row[half:] for row in draws[:5]]
    shared[1][:most] = shared[0][:most]
    return [Span(tuple(row), max(length // 3, 1)) for row in [*shared, draws[5]]]
