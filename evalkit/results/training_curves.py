"""How checkpoints of one training learned: scores and losses over steps or tokens, pedigrees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evalkit.results.manifest import Manifest
from evalkit.results.queries import Overview, leaderboard
from evalkit.types import digest

POSITIONS = {"step": "training step", "tokens_seen": "tokens seen"}
"""What a curve may run over: field of the training record -> its name."""

SERIES_TAG = "series"
_DEVIATIONS = 4.0
_LEAST = 0.02


@dataclass(frozen=True, slots=True)
class TrainingSeries:
    """Checkpoints of one training.

    Attributes:
        key: The same for the same training, whatever runs are added.
        name: Shown to people; unique in its store.
        runs: Ids by step; of a checkpoint that was measured more than once, the newest run.
        measured: Ids of all its runs, newest first.
    """

    key: str
    name: str
    runs: tuple[str, ...]
    measured: tuple[str, ...]


def training_series(view: Overview) -> list[TrainingSeries]:
    """Trainings of which the store holds runs, the one with the newest run first.

    Runs belong together where they bear the same tag `series`, or else where their checkpoints'
    training records name the same recipe and corpus. Runs that know no step belong to none.
    """
    members: dict[str, dict[float, str]] = {}
    measured: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for run_id, run in view.manifests.items():
        step = position(run, "step")
        if step is None:
            continue
        key = _key(run)
        members.setdefault(key, {}).setdefault(step, run_id)
        measured.setdefault(key, []).append(run_id)
        names.setdefault(key, run.tags.get(SERIES_TAG) or str(_record(run).get("name", "?")))
    repeated = {name for name in names.values() if list(names.values()).count(name) > 1}
    return [
        TrainingSeries(
            key,
            f"{names[key]} · {key}" if names[key] in repeated else names[key],
            tuple(runs[step] for step in sorted(runs)),
            tuple(measured[key]),
        )
        for key, runs in members.items()
    ]


def position(run: Manifest, along: str) -> float | None:
    """A run's place on the axis `along`, one of `POSITIONS`; None where it is not known."""
    return _finite(_record(run).get(along))


def score_curves(view: Overview, series: TrainingSeries, along: str = "step") -> pd.DataFrame:
    """Each task's primary figure over the checkpoints of a series.

    Values measured on other documents or another definition of the task than most of the series
    are left out. Of a figure that a checkpoint was measured for more than once the newest counts.

    Args:
        view: Of the store.
        series: One of `training_series`.
        along: One of `POSITIONS`.

    Returns:
        run_id, label, position, figure, task, family, value, ci_low, ci_high, unit and
        higher_is_better, by figure and position.
    """
    rows = view.scores[view.scores["run_id"].isin(series.measured)]
    board = leaderboard(rows)
    board = board[board["comparable"].astype(bool)]
    places = {run: position(view.manifests[run], along) for run in series.measured}
    steps = {run: position(view.manifests[run], "step") for run in series.measured}
    labels = {run: view.manifests[run].name for run in series.measured}
    ids = board["run_id"]
    board = board.assign(position=ids.map(places).astype(float), label=ids.map(labels))
    board = board[~board.assign(step=ids.map(steps)).duplicated(["figure", "step"])]
    columns = ["run_id", "label", "position", "figure", "task", "family"]
    columns += ["value", "ci_low", "ci_high", "unit", "higher_is_better"]
    found = board.loc[board["position"].notna(), columns]
    return found.sort_values(["figure", "position"], kind="stable").reset_index(drop=True)


def loss_curve(view: Overview, series: TrainingSeries, along: str = "step") -> pd.DataFrame:
    """Training loss recorded in the checkpoints of a series.

    Returns:
        run_id, label, position, value (nats a token, the mean that the record holds) and `spike`,
        by position; checkpoints without a loss are left out.
    """
    rows = [
        (run, view.manifests[run].name, position(view.manifests[run], along), _loss(view, run))
        for run in series.runs
    ]
    frame = pd.DataFrame(rows, columns=["run_id", "label", "position", "value"])
    frame = frame.astype({"position": float, "value": float}).dropna(subset=["position", "value"])
    frame = frame.sort_values("position", kind="stable").reset_index(drop=True)
    return frame.assign(spike=loss_spikes(frame["value"]))


def loss_spikes(losses: ArrayLike) -> NDArray[np.bool_]:
    """Which losses of a curve stand out above their neighbours.

    A loss is a spike where it lies above the one before and the one after, and above their mean by
    more than 4 robust standard deviations (1.4826 times the median absolute deviation) of all such
    distances, and by more than 2 %. Fewer than five losses, and the two ends, have no spikes.

    Source: Hampel 1974, "The influence curve and its role in robust estimation"; the identifier of
    Davies and Gather 1993.
    """
    values = np.asarray(losses, dtype=np.float64)
    found = np.zeros(len(values), dtype=np.bool_)
    if len(values) < 5:
        return found
    expected = (values[:-2] + values[2:]) / 2
    distance = values[1:-1] - expected
    centre = np.median(distance)
    spread = 1.4826 * float(np.median(np.abs(distance - centre)))
    peak = values[1:-1] > np.maximum(values[:-2], values[2:])
    found[1:-1] = peak & (distance - centre > _DEVIATIONS * spread) & (distance > _LEAST * expected)
    return found


def pedigree(run: Manifest) -> pd.DataFrame:
    """Where a checkpoint comes from, as its training record says: field and value, as text."""
    record = {name: value for name, value in _record(run).items() if name != "corpus"}
    known = {"weights_hash": run.model.weights_hash, "tokenizer_hash": run.model.tokenizer_hash}
    rows = [*_flat(known), *_flat(record)]
    return pd.DataFrame(rows, columns=["field", "value"], dtype="str")


def datasheet(run: Manifest) -> pd.DataFrame:
    """The corpus that a checkpoint learned from: field and value, as text; empty where unknown."""
    corpus = _record(run).get("corpus")
    rows = _flat(corpus) if isinstance(corpus, Mapping) else []
    return pd.DataFrame(rows, columns=["field", "value"], dtype="str")


def _record(run: Manifest) -> Mapping[str, Any]:
    return run.model.training or {}


def _key(run: Manifest) -> str:
    tag = run.tags.get(SERIES_TAG)
    if tag:
        return digest(tag)[:8]
    record = _record(run)
    corpus = record.get("corpus")
    text = corpus.get("sha256") if isinstance(corpus, Mapping) else corpus
    return digest([record.get("name"), record.get("recipe"), text])[:8]


def _loss(view: Overview, run_id: str) -> float | None:
    return _finite(_record(view.manifests[run_id]).get("loss"))


def _finite(value: object) -> float | None:
    """A record is a file of others: what is no number there is unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def _flat(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as one list, keys joined by dots; what is unknown is left out."""
    found: list[tuple[str, str]] = []
    for key, value in record.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            found += _flat(value, name)
        elif value is not None:
            found.append((name, _text(value)))
    return found


def _text(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
