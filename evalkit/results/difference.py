"""One metric of one task in two runs: how far apart, and whether that is more than chance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evalkit.metrics.aggregation import AGGREGATIONS, Aggregation
from evalkit.results.pairing import MetricPairs, TaskPairs
from evalkit.results.unpaired import unpaired_fields
from evalkit.stats import PairedEstimate, compare_pairs, holm

ALPHA = 0.05
FIGURE = ["task", "metric", "filter"]
# What the clock says belongs to the machine and its load as much as to the model; requests of two
# runs are no pairs.
TIMED = ("seconds", "s", "ms", "tokens/s", "requests/s")
# Batch size and order move a log-likelihood in its last digits; that is no win.
_TIE = 1e-5


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of one task in two runs; what is undefined is None.

    Attributes:
        n: Pairs.
        n_clusters: Clusters of the pairs, where samples come in families.
        baseline: Value over the pairs.
        candidate: Value over the pairs.
        difference: Candidate minus baseline.
        stderr: Standard error of the difference.
        ci_low: Lower end of its interval.
        ci_high: Upper end of its interval.
        wins: Pairs in which the candidate is better (higher, where neither direction is).
        losses: Pairs in which it is worse.
        ties: Pairs in which it is neither.
        p: Two-sided p-value of no difference.
        p_holm: The same, corrected for all tests of the comparison.
        test: Name of the test.
        visible_effect: Smallest true difference so many pairs find with 80 % probability.
        note: What a reader has to know.
    """

    task: str
    metric: str
    filter: str
    higher_is_better: bool | None
    unit: str
    n: int
    baseline: float | None
    candidate: float | None
    difference: float | None
    n_clusters: int | None = None
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    p: float | None = None
    p_holm: float | None = None
    test: str | None = None
    visible_effect: float | None = None
    note: str = ""

    @property
    def gain(self) -> float | None:
        """The difference, positive where the candidate is better; None where there is no better."""
        if self.difference is None or self.higher_is_better is None:
            return None
        return self.difference if self.higher_is_better else -self.difference

    def significant(self, alpha: float = ALPHA) -> bool:
        """Whether the corrected p-value is below the level."""
        return self.p_holm is not None and self.p_holm < alpha


def difference_of(row: pd.Series, pairs: TaskPairs, seed: int, draws: int) -> Difference:
    """Difference of one figure from its merged scores and its task's pairs."""
    direction = None if pd.isna(row["higher_is_better"]) else bool(row["higher_is_better"])
    aggregation = AGGREGATIONS.get(row["aggregation"])
    unit = "" if pd.isna(row["unit"]) else str(row["unit"])
    common = {**{name: row[name] for name in FIGURE}, "higher_is_better": direction, "unit": unit}
    if pairs.obstacle and unit not in TIMED:
        return Difference(**common, **unpaired_fields(row, pairs.obstacle))
    if unit in TIMED:
        return _values_only(row, common, "a timing: the machine and its load are in it")
    if aggregation is None or row["aggregation"] != row["aggregation_baseline"]:
        return _values_only(row, common, "this metric cannot be paired sample by sample")
    found = pairs.metric(row["metric"], row["filter"], aggregation.size)
    return paired_difference(row, found, aggregation, seed, draws)


def paired_difference(
    row: pd.Series, pairs: MetricPairs, aggregation: Aggregation, seed: int, draws: int
) -> Difference:
    """Difference of one figure over paired samples."""
    direction = None if pd.isna(row["higher_is_better"]) else bool(row["higher_is_better"])
    spread = compare_pairs(
        pairs.baseline, pairs.candidate, aggregation, pairs.clusters, seed=seed, draws=draws
    )
    gains = sample_gains(pairs, aggregation, direction)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    return Difference(
        **{name: row[name] for name in FIGURE},
        higher_is_better=direction,
        unit="" if pd.isna(row["unit"]) else str(row["unit"]),
        **asdict(spread),
        wins=wins,
        losses=losses,
        ties=spread.n - wins - losses,
        note=_note(row, spread),
    )


def _values_only(row: pd.Series, common: dict[str, Any], why: str) -> Difference:
    a, b = (None if pd.isna(v) else float(v) for v in (row["value_baseline"], row["value"]))
    return Difference(
        **common,
        n=min(int(row["n"]), int(row["n_baseline"])),
        baseline=a,
        candidate=b,
        difference=None if a is None or b is None else b - a,
        note=f"values only: {why}",
    )


def sample_gains(
    pairs: MetricPairs, aggregation: Aggregation, higher_is_better: bool | None
) -> np.ndarray:
    """By how much the candidate is better on each pair; 0 for ties and what is undefined."""
    a = aggregation.sample_values(pairs.baseline)
    b = aggregation.sample_values(pairs.candidate)
    gains = np.nan_to_num(b - a, posinf=0.0, neginf=0.0)
    gains[np.isclose(a, b, rtol=_TIE, atol=1e-12)] = 0.0
    return -gains if higher_is_better is False else gains


def _note(row: pd.Series, spread: PairedEstimate) -> str:
    notes = []
    if spread.n < max(row["n"], row["n_baseline"]):
        notes.append(f"{spread.n} pairs of {int(row['n_baseline'])} and {int(row['n'])} samples")
    if spread.difference is None:
        notes.append("undefined in one of the runs")
    elif spread.p is None:
        notes.append("too few samples to test")
    return "; ".join(notes)


def corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """The differences with p-values corrected over all of them (Holm)."""
    tested = [row.p for row in differences if row.p is not None]
    adjusted = iter(holm(tested))
    return tuple(
        row if row.p is None else replace(row, p_holm=next(adjusted)) for row in differences
    )
