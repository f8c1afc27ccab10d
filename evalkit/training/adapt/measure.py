"""What was gained, on prompts that were held out: by the engine that also runs the tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.metrics.aggregation import Aggregation
from evalkit.stats import Estimate, estimate
from evalkit.training.adapt.rewards import Score
from evalkit.training.adapt.rows import Row, group
from evalkit.training.derived import Figure
from evalkit.types import Decoding, Request, RequestKind, Response

Measured = dict[str, Estimate]
"""Name of a metric -> its value with its interval."""


def figures(after: Measured, before: dict[str, float | None]) -> list[Figure]:
    """Both as the manifest records them."""
    return [
        Figure(
            metric=name,
            value=found.value,
            ci_low=found.ci_low,
            ci_high=found.ci_high,
            n=found.n,
            before=before.get(name),
        )
        for name, found in after.items()
    ]


def values(measured: Measured) -> dict[str, float | None]:
    """The values alone."""
    return {name: found.value for name, found in measured.items()}


def open_engine(folder: Path, device: str) -> LocalEngine:
    """The engine on a saved checkpoint."""
    return LocalEngine(open_checkpoint(folder), device=device)


def measure_answers(engine: LocalEngine, rows: Sequence[Row]) -> Measured:
    """How well held-out answers are predicted.

    Args:
        engine: The checkpoint.
        rows: Each with prompt and completion.

    Returns:
        `loss`, in nats a token of the answers, and `exact`, the share of answers that greedy
        decoding would give.
    """
    found = _loglikelihoods(engine, [(row["prompt"], row["completion"]) for row in rows])
    clusters = [group(row) for row in rows]
    sums = [(-(each.loglikelihood or 0.0), float(each.output_tokens)) for each in found]
    exact = [float(bool(each.is_greedy)) for each in found]
    return {
        "loss": estimate(sums, "nanmean", clusters),
        "exact": estimate(exact, "mean", clusters),
    }


def measure_preference(engine: LocalEngine, rows: Sequence[Row]) -> Measured:
    """`preference`: the share of held-out pairs of which the chosen reply is the likelier one."""
    chosen = _loglikelihoods(engine, [(row["prompt"], row["chosen"]) for row in rows])
    rejected = _loglikelihoods(engine, [(row["prompt"], row["rejected"]) for row in rows])
    right = [
        float((a.loglikelihood or 0.0) > (b.loglikelihood or 0.0))
        for a, b in zip(chosen, rejected, strict=True)
    ]
    return {"preference": estimate(right, "mean", [group(row) for row in rows])}


def measure_reward(
    engine: LocalEngine, rows: Sequence[Row], score: Score, temperature: float, tokens: int
) -> Measured:
    """`reward`: the mean worth of a sampled reply to each held-out prompt, seeded by its place."""
    distinct = list({row["prompt"]: row for row in rows}.values())
    requests = [
        Request(
            RequestKind.GENERATE,
            row["prompt"],
            decoding=Decoding(max_new_tokens=tokens, temperature=temperature, seed=place),
        )
        for place, row in enumerate(distinct)
    ]
    replies = [response.text or "" for response in _answers(engine, requests)]
    return {"reward": estimate(score(distinct, replies), "mean")}


def measure_ranking(rows: Sequence[Row], score: Score) -> Measured:
    """`preference`: the share of held-out pairs that a reward model ranks rightly."""
    chosen = score(rows, [row["chosen"] for row in rows])
    rejected = score(rows, [row["rejected"] for row in rows])
    right = [float(a > b) for a, b in zip(chosen, rejected, strict=True)]
    return {"preference": estimate(right, "mean", [group(row) for row in rows])}


def measure_labels(truth: Sequence[int], told: Sequence[int], classes: int) -> Measured:
    """`accuracy`, and `macro_f1`, the mean of the classes' F1 where a class occurs or is told."""
    pairs = np.array([truth, told])
    is_true, is_told = (pairs[:, :, None] == np.arange(classes)).astype(float)
    cells = np.concatenate([is_true * is_told, is_true, is_told], axis=1)
    macro_f1 = Aggregation(lambda sums, n: _macro_f1(sums, classes), size=3 * classes)
    return {
        "accuracy": estimate((pairs[0] == pairs[1]).astype(float), "mean"),
        "macro_f1": estimate(cells, macro_f1),
    }


def _macro_f1(sums: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    both, true, told = np.split(np.asarray(sums, dtype=float), [classes, 2 * classes], axis=-1)
    seen = true + told
    f1 = np.divide(2 * both, seen, out=np.full(seen.shape, np.nan), where=seen > 0)
    mean: NDArray[np.float64] = np.nanmean(f1, axis=-1)
    return mean


def _loglikelihoods(engine: LocalEngine, pairs: Sequence[tuple[str, str]]) -> list[Response]:
    return _answers(
        engine, [Request(RequestKind.LOGLIKELIHOOD, before, after) for before, after in pairs]
    )


def _answers(engine: LocalEngine, requests: Sequence[Request]) -> list[Response]:
    found: dict[int, Any] = {}
    for batch in engine.respond(requests):
        found.update(batch)
    return [found[index] for index in range(len(requests))]
