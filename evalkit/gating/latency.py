"""Timings, compared as far as a clock allows: on one machine, in turns, over whole rounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.gating.config import Margin
from evalkit.gating.selection import Figure
from evalkit.results import Manifest, Store
from evalkit.stats import t_interval, t_p

Array = NDArray[np.float64]
QUANTILES = {"median": 0.5, "p90": 0.9}
SESSION, SIDE, ROUND = "timing_session", "timing_side", "timing_round"


@dataclass(frozen=True, slots=True)
class Rounds:
    """Runs of a candidate and a baseline that were timed in turns.

    Attributes:
        store: Where they lie.
        pairs: Run ids of baseline and candidate, one pair a round.
        problem: Why there is nothing to compare; empty where there is.
    """

    store: Store
    pairs: tuple[tuple[str, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TimingDifference:
    """One quantile of the requests' times, round by round.

    Attributes:
        quantile: "median" or "p90", the slow end.
        old: The baseline's, shape (rounds,).
        new: The candidate's, in the same rounds.
    """

    quantile: str
    old: Array
    new: Array

    @property
    def rounds(self) -> int:
        """How many."""
        return len(self.old)

    @property
    def baseline(self) -> float:
        """Mean over rounds."""
        return float(self.old.mean())

    @property
    def candidate(self) -> float:
        """Mean over rounds."""
        return float(self.new.mean())

    @property
    def difference(self) -> float:
        """Candidate less baseline."""
        return self.candidate - self.baseline

    @property
    def deviation(self) -> float:
        """Standard deviation of a round's difference."""
        return float((self.new - self.old).std(ddof=1))

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval: t over rounds, for requests of one round share its disturbances."""
        return t_interval(self.difference, self.deviation / self.rounds**0.5, self.rounds - 1)

    def p(self, margin: Margin | None = None, falling: bool = False) -> float:
        """Two-sided p-value of the difference being nothing, or the margin: a fall or else a rise.

        A margin that is a share is one of each round's own time.
        """
        excess = self.new - self.old
        if margin is not None:
            allowed = margin.amount * (self.old if margin.relative else 1.0)
            excess = excess + allowed if falling else excess - allowed
        stderr = float(excess.std(ddof=1)) / self.rounds**0.5
        return t_p(float(excess.mean()), stderr, self.rounds - 1)


def find_rounds(store: Store, run: Manifest, baseline: Manifest) -> Rounds:
    """The rounds in which a run was timed in turns with its baseline."""
    session = run.tags.get(SESSION)
    if session is None:
        return Rounds(
            store, problem="timed apart from the baseline; 'evalkit gate --model' times in turns"
        )
    found: dict[str, dict[str, Manifest]] = {}
    for other in store.listing().runs:
        if other.tags.get(SESSION) == session and SIDE in other.tags:
            found.setdefault(other.tags.get(ROUND, ""), {})[other.tags[SIDE]] = other
    whole = [sides for _, sides in sorted(found.items()) if {"run", "baseline"} <= set(sides)]
    if any(sides["baseline"].model.weights_hash != baseline.model.weights_hash for sides in whole):
        return Rounds(store, problem="timed in turns with another baseline")
    machines = {str(_hardware(run)) for sides in whole for run in sides.values()}
    if len(machines) > 1:
        return Rounds(store, problem="timed on different hardware")
    if len(whole) < 3:
        return Rounds(store, problem=f"timed in {len(whole)} whole rounds; three are the least")
    pairs = tuple((sides["baseline"].run_id, sides["run"].run_id) for sides in whole)
    return Rounds(store, pairs)


def timing_differences(
    rounds: Rounds, figure: Figure, higher_is_better: bool | None
) -> list[TimingDifference]:
    """Median and slow end of a timing over all rounds."""
    task, metric, filter_ = figure
    sides = list(zip(*rounds.pairs, strict=True))
    values = [[_values(rounds.store, run, task, metric, filter_) for run in side] for side in sides]
    if any(len(times) == 0 for side in values for times in side):
        return []
    found = []
    for name, share in QUANTILES.items():
        # The slow end of a rate is its low one.
        at = 1 - share if higher_is_better else share
        old, new = (np.array([np.quantile(times, at) for times in side]) for side in values)
        found.append(TimingDifference(name, old, new))
    return found


def _values(store: Store, run: str, task: str, metric: str, filter_: str) -> Array:
    samples = store.samples(run, task, ["filter", "statistics"])
    chosen: Sequence[dict[str, Sequence[float]]] = samples["statistics"][
        samples["filter"].fillna("none") == filter_
    ].tolist()
    return np.array([s[metric][0] for s in chosen if s.get(metric) is not None])


def _hardware(run: Manifest) -> object:
    found = run.environment.get("hardware")
    return sorted(found.items()) if isinstance(found, dict) else found
