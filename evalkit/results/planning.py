"""How many samples an effect needs, from what earlier runs say of a task."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import UsageError
from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.manifest import Manifest
from evalkit.results.pairing import pair_task
from evalkit.results.primary import primary_metric
from evalkit.results.store import Store
from evalkit.stats import compare_pairs, minimal_detectable_effect, sample_size
from evalkit.stats.estimate import is_binary


@dataclass(frozen=True, slots=True)
class Power:
    """What it takes to see an effect.

    Attributes:
        effect: True difference to find, in the metric's unit.
        deviation: Standard deviation of one sample's difference; clusters are in it.
        needed: Samples that find the effect with the power asked for; None where no number does.
        at_hand: Samples of the task in the newest run.
        visible: Smallest effect the samples at hand find.
        basis: Where the deviation comes from, in words.
    """

    task: str
    metric: str
    effect: float
    deviation: float
    needed: int | None
    at_hand: int | None
    visible: float | None
    alpha: float
    power: float
    basis: str


def power(
    task: str,
    effect: float,
    store: Store,
    *,
    metric: str | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    discordant: float = 0.3,
) -> Power:
    """Samples that a paired comparison of two runs needs to find an effect.

    The spread is that of the two newest runs of the store that can be paired on the task. Where
    there are none, a proportion is assumed of which a share `discordant` of the samples differs.

    Raises:
        UsageError: The effect is not positive, or the store's runs of the task lack the metric.
    """
    if not 0 < effect < float("inf"):
        raise UsageError(f"--effect {effect:g} is no size of a difference; give a positive number.")
    if not 0 < alpha < 1 or not alpha < power < 1:
        raise UsageError("--alpha and --power have to lie between 0 and 1, power above alpha.")
    if not 0 < discordant <= 1:
        raise UsageError(f"--discordant {discordant:g} is no share between 0 and 1.")
    runs = [run for run in reversed(store.listing().runs) if task in run.tasks]
    for i, newer in enumerate(runs):
        for older in runs[i + 1 :]:
            if newer.model.weights_hash == older.model.weights_hash:
                continue
            found = _deviation(store, older, newer, task, metric, effect)
            if found is not None:
                name, deviation, n = found
                basis = f"{n} samples of {older.name} and {newer.name}, paired"
                return _answer(task, name, effect, deviation, n, alpha, power, basis)
    if effect > discordant:
        raise UsageError(
            f"An effect of {effect:g} is larger than the share of samples that differ, "
            f"{discordant:g}; raise --discordant."
        )
    deviation = (discordant - effect**2) ** 0.5
    basis = f"assumed: a proportion, {discordant:.0%} of samples differ; no two runs to learn from"
    at_hand = runs[0].tasks[task].documents if runs else None
    return _answer(task, metric or "proportion", effect, deviation, at_hand, alpha, power, basis)


def _answer(
    task: str,
    metric: str,
    effect: float,
    deviation: float,
    n: int | None,
    alpha: float,
    power: float,
    basis: str,
) -> Power:
    needed = sample_size(effect, deviation, alpha, power)
    visible = minimal_detectable_effect(deviation / n**0.5, alpha, power) if n else None
    return Power(task, metric, effect, deviation, needed, n, visible, alpha, power, basis)


def _deviation(
    store: Store, older: Manifest, newer: Manifest, task: str, metric: str | None, effect: float
) -> tuple[str, float, int] | None:
    """The metric, its deviation per sample and the pairs; None where the two do not pair."""
    scores = store.scores([newer.run_id]).fillna({"filter": "none"})
    scores = scores[(scores["task"] == task) & scores["aggregation"].isin(list(AGGREGATIONS))]
    if metric is not None:
        if metric not in set(scores["metric"]):
            known = ", ".join(dict.fromkeys(scores["metric"])) or "none"
            raise UsageError(f"{task} has no metric {metric!r} that can be paired; it has {known}.")
        scores = scores[scores["metric"] == metric]
    if scores.empty:
        return None
    figures: pd.DataFrame = scores[["metric", "filter"]]
    name, filter_ = primary_metric(list(figures.itertuples(index=False, name=None)))
    row = scores[(scores["metric"] == name) & (scores["filter"] == filter_)].iloc[0]
    pairs = pair_task((store, older.run_id), (store, newer.run_id), task)
    found = pairs.metric(name, filter_, AGGREGATIONS[row["aggregation"]].size)
    if len(found.baseline) < 2:
        return None
    if effect > 1 and is_binary(np.vstack([found.baseline, found.candidate])):
        raise UsageError(f"--effect {effect:g}: shares such as {name} differ by 1 at most.")
    spread = compare_pairs(
        found.baseline, found.candidate, row["aggregation"], found.clusters, draws=1_000
    )
    if not spread.stderr:
        return None
    return name, spread.stderr * spread.n**0.5, spread.n
