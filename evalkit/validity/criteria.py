"""What a probe has to show before it counts: it follows its own effect, and no other."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.stats import ScoreSummary, compare_scores
from evalkit.validity.planted import Planted

RANK_CORRELATION = 0.9
"""Least Spearman correlation of level and figure, over all levels and seeds."""


@dataclass(frozen=True, slots=True)
class Move:
    """What another effect at its highest level does to a probe's figure.

    Attributes:
        knob: The other effect.
        change: Mean over seeds of the figure less that of a checkpoint without any effect.
        reach: Half the width of the change's 95 % interval, the mean over seeds.
    """

    knob: str
    change: float
    reach: float

    @property
    def is_within(self) -> bool:
        """Whether the figure moved by no more than its interval."""
        return abs(self.change) <= self.reach


@dataclass(frozen=True, slots=True)
class ProbeVerdict:
    """What the study says of one probe.

    Attributes:
        planted: The effect and the figure.
        correlation: Spearman's, of level and figure, its sign turned where the figure has to fall;
            None where fewer than three levels are measured or the figure never changes.
        apart: Whether, for every seed, the intervals at level 0 and at the highest do not meet, and
            lie the right way round; None where one of them is not measured.
        moves: What the other effects do.
        between_seeds: Mean difference, without its sign, of two trainings that differ in the seed
            alone and have none of the effect; what a move has to be seen against. None with one
            seed.
    """

    planted: Planted
    correlation: float | None
    apart: bool | None
    moves: tuple[Move, ...]
    between_seeds: float | None = None

    @property
    def follows(self) -> bool | None:
        """Whether the figure rises with the effect; None where it was not asked."""
        return None if self.correlation is None else self.correlation >= RANK_CORRELATION

    @property
    def holds(self) -> bool:
        """Whether nothing that was measured speaks against the probe."""
        return (
            self.follows is not False
            and self.apart is not False
            and all(move.is_within for move in self.moves)
        )


def judge(planted: Sequence[Planted], figures: pd.DataFrame) -> list[ProbeVerdict]:
    """Judge each probe by the figures of a study, as `evalkit.validity.figures` gives them."""
    return [_judge(each, planted, figures) for each in planted]


def _judge(each: Planted, planted: Sequence[Planted], figures: pd.DataFrame) -> ProbeVerdict:
    mine = figures[(figures["task"] == each.task) & (figures["metric"] == each.metric)]
    knobs = [other.knob for other in planted]
    none = mine[(mine[knobs] == 0).all(axis=1)]
    alone = {
        knob: mine[(mine["alone"] == knob) & (mine[knob] == mine[knob].max())] for knob in knobs
    }
    moves = [
        move
        for knob in knobs
        if knob != each.knob and (move := _move(knob, none, alone[knob])) is not None
    ]
    apart = _apart(none, alone[each.knob], each.rises)
    correlation = _correlation(_followed(mine, each.knob), each)
    luck = _between_seeds(mine[mine[each.knob] == 0])
    return ProbeVerdict(each, correlation, apart, tuple(moves), luck)


def _followed(rows: pd.DataFrame, knob: str) -> pd.DataFrame:
    """Checkpoints that speak of an effect: all but those with another one alone."""
    return rows[rows["alone"].isna() | (rows["alone"] == knob)]


def _correlation(rows: pd.DataFrame, each: Planted) -> float | None:
    """Spearman 1904."""
    levels, values = rows[each.knob].rank(), rows["value"].rank()
    if levels.nunique() < 3 or values.nunique() < 2:
        return None
    found = float(np.corrcoef(levels, values)[0, 1])
    return found if each.rises else -found


def _apart(none: pd.DataFrame, top: pd.DataFrame, rises: bool) -> bool | None:
    pairs = none.merge(top, on="seed", suffixes=("_none", "_top"))
    ends = ["ci_low_none", "ci_high_none", "ci_low_top", "ci_high_top"]
    if pairs.empty or pairs[ends].isna().any(axis=None):
        return None
    if rises:
        return bool((pairs["ci_high_none"] < pairs["ci_low_top"]).all())
    return bool((pairs["ci_low_none"] > pairs["ci_high_top"]).all())


def _between_seeds(rows: pd.DataFrame) -> float | None:
    recipes = rows["alone"].fillna("none")
    ranges = [values.max() - values.min() for _, values in rows["value"].groupby(recipes)
              if len(values) > 1]  # fmt: skip
    return float(np.mean(ranges)) if ranges else None


def _move(knob: str, none: pd.DataFrame, other: pd.DataFrame) -> Move | None:
    """Change against no effect, both being judged as runs of independent samples."""
    pairs = none.merge(other, on="seed", suffixes=("_none", "_other"))
    if pairs.empty:
        return None
    found = [
        compare_scores(_summary(row, "none"), _summary(row, "other"))
        for row in pairs.to_dict("records")
    ]
    change = float(np.mean([each.difference for each in found]))
    reach = float(np.mean([(each.ci_high - each.ci_low) / 2 for each in found]))
    return Move(knob, change, reach)


def _summary(row: Mapping[Hashable, Any], suffix: str) -> ScoreSummary:
    value, stderr, low, high, n, clusters = (
        row[f"{name}_{suffix}"]
        for name in ("value", "stderr", "ci_low", "ci_high", "n", "n_clusters")
    )
    units = n if pd.isna(clusters) else clusters
    return ScoreSummary(float(value), float(stderr), float(low), float(high), int(units))
