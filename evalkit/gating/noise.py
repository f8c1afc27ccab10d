"""The noise floor: how far a checkpoint's figures move when nothing of the model changes."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.errors import UsageError
from evalkit.results import Manifest, Store
from evalkit.settings import RunSettings

if TYPE_CHECKING:
    from evalkit.runner import RunResult

FIGURE = ["task", "metric", "filter"]


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """How far one figure moved.

    Attributes:
        value: Of the reference run: batch size chosen by the engine, first seed, one thread.
        batch_size: Largest distance of another batch size's value to it.
        seed: The same over seeds.
        threads: The same over thread counts.
        samples_moved: Largest share of samples whose statistics moved by more than rounding, over
            all of these runs.
        noise: Largest distance of all.
        stderr: Standard error of the reference, to see the noise against.
    """

    task: str
    metric: str
    filter: str
    value: float | None
    batch_size: float | None
    seed: float | None
    threads: float | None
    samples_moved: float | None
    noise: float | None
    stderr: float | None


def noise_floor(
    settings: RunSettings,
    *,
    batch_sizes: Sequence[int] = (1, 4, 16),
    seeds: Sequence[int] = (0, 1, 2),
    threads: Sequence[int] = (1, 2),
) -> list[NoiseFloor]:
    """Run a checkpoint again and again with other batch sizes, seeds and threads.

    The runs are kept in memory, not in the store.

    Args:
        settings: Model and tasks; batch size, seed and store are replaced.
        batch_sizes: To hold against the engine's own choice.
        seeds: Of few-shot draws and sampling; the first is the reference.
        threads: Of the numerical library; the first is the reference.

    Raises:
        UsageError: A setting is impossible or a list is empty.
        EvaluationError: A run failed.
    """
    if not batch_sizes or not seeds or not threads or min([*batch_sizes, *threads]) < 1:
        raise UsageError("Batch sizes, seeds and threads have to be given, and positive.")
    if min(seeds) < 0:
        raise UsageError(f"Seed {min(seeds)} is negative; give 0 or more.")
    import torch

    store = Store(f"memory://evalkit-noise-{secrets.token_hex(4)}")
    base = settings.model_copy(update={"store": store.url, "seed": seeds[0], "batch_size": None})
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads[0])
        reference = _run(base)
        found = {
            "batch_size": [_run(base.model_copy(update={"batch_size": b})) for b in batch_sizes],
            "seed": [_run(base.model_copy(update={"seed": s})) for s in seeds[1:]],
            "threads": [_run(base, count) for count in threads[1:]],
        }
    finally:
        torch.set_num_threads(before)
        if store.filesystem.exists(store.root):
            store.filesystem.rm(store.root, recursive=True)
    return _floors(reference, found)


@dataclass(frozen=True, slots=True)
class _Measured:
    manifest: Manifest
    scores: pd.DataFrame
    statistics: dict[tuple[str, str], pd.Series]


def _run(settings: RunSettings, threads: int | None = None) -> _Measured:
    import torch

    from evalkit.runner import execute, make_plan

    if threads is not None:
        torch.set_num_threads(threads)
    result: RunResult = execute(make_plan(settings))
    store, run_id = Store(settings.store), result.manifest.run_id
    scores = store.scores([run_id]).fillna({"filter": "none"})
    scores = scores[scores["tasks"].isna()]  # a suite's figure has no samples of its own
    statistics = {}
    for task in result.manifest.tasks:
        samples = store.samples(run_id, task, ["filter", "doc_id", "statistics"])
        for filter_, rows in samples.groupby(samples["filter"].fillna("none")):
            statistics[task, str(filter_)] = rows.set_index("doc_id")["statistics"]
    return _Measured(result.manifest, scores, statistics)


def _floors(reference: _Measured, found: dict[str, list[_Measured]]) -> list[NoiseFloor]:
    floors = []
    for _, row in reference.scores.iterrows():
        task, metric, filter_ = key = (row["task"], row["metric"], row["filter"])
        value = None if pd.isna(row["value"]) else float(row["value"])
        moved = {factor: _largest(value, key, runs) for factor, runs in found.items()}
        known = [distance for distance in moved.values() if distance is not None]
        shares = [
            _moved(reference, run, task, metric, filter_) for runs in found.values() for run in runs
        ]
        floors.append(
            NoiseFloor(
                task,
                metric,
                filter_,
                value,
                moved["batch_size"],
                moved["seed"],
                moved["threads"],
                max(shares, default=None),
                max(known, default=None),
                None if pd.isna(row["stderr"]) else float(row["stderr"]),
            )
        )
    return floors


def _largest(value: float | None, key: tuple[str, ...], runs: list[_Measured]) -> float | None:
    others = [_value(run.scores, key) for run in runs]
    if value is None or not others or not np.isfinite(others).all():
        return None
    return max(abs(other - value) for other in others)


def _value(scores: pd.DataFrame, key: tuple[str, ...]) -> float:
    named = (scores[FIGURE] == list(key)).all(axis=1)
    return float(scores.loc[named, "value"].iloc[0]) if named.any() else float("nan")


def _moved(a: _Measured, b: _Measured, task: str, metric: str, filter_: str) -> float:
    """Share of samples whose statistics differ by more than rounding."""
    old, new = a.statistics[task, filter_], b.statistics[task, filter_]
    pairs = [(old[doc].get(metric), new[doc].get(metric)) for doc in old.index if doc in new.index]
    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    differ = [len(x) != len(y) or not np.allclose(x, y, rtol=1e-5, atol=1e-9) for x, y in known]
    return float(np.mean(differ)) if differ else 0.0
