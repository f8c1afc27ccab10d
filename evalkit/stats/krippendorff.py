"""Agreement of several raters: Krippendorff's alpha, with missing ratings."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.stats.units import Array

Level = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Krippendorff's alpha: 1 is full agreement, 0 is chance, below 0 is systematic disagreement.

    Attributes:
        alpha: None where no unit was rated twice, or only one value was ever given.
        ci_low: Lower end of the 95 % interval; None where it is undefined.
        ci_high: Upper end of it.
        units: Units that were rated at least twice.
        ratings: Ratings of those units.
    """

    alpha: float | None
    ci_low: float | None
    ci_high: float | None
    units: int
    ratings: int


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable]],
    level: Level = "nominal",
    *,
    seed: int = 0,
    draws: int = 1000,
) -> Agreement:
    """Alpha over units, each with the ratings that it got; units rated once say nothing.

    The interval resamples units and takes percentiles; it is left out where more than half of the
    draws have no alpha.

    Args:
        ratings: One sequence a unit, in any order of raters; values of nominal ratings may be
            anything, others are numbers.
        level: How far apart two values are: nominal (equal or not), ordinal (by rank), interval
            (squared difference).
        seed: Seed of the resampling.
        draws: Resamples.

    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"; units resampled as by
    Hayes and Krippendorff 2007.
    """
    paired = [unit for unit in ratings if len(unit) > 1]
    values = list(dict.fromkeys(value for unit in paired for value in unit))
    if level != "nominal":
        values.sort(key=float)  # type: ignore[arg-type]
    place = {value: i for i, value in enumerate(values)}
    counts = np.zeros((len(paired), len(values)))
    for row, unit in enumerate(paired):
        for value in unit:
            counts[row, place[value]] += 1
    numbers = np.arange(len(values), dtype=float) if level == "nominal" else np.array(values, float)
    alpha = _alpha(counts, numbers, level)
    ends = None if alpha is None else _interval(counts, numbers, level, seed, draws)
    low, high = ends or (None, None)
    return Agreement(alpha, low, high, len(paired), int(counts.sum()))


def _alpha(counts: Array, values: Array, level: Level) -> float | None:
    """Alpha from how often each unit (row) got each value (column)."""
    totals = counts.sum(axis=0)
    n = totals.sum()
    if (totals > 0).sum() < 2:
        return None
    distance = _distances(totals, values, level)
    within = ((counts @ distance) * counts).sum(axis=1) / (counts.sum(axis=1) - 1)
    expected = totals @ distance @ totals / (n - 1)
    return float(1 - within.sum() / expected)


def _distances(totals: Array, values: Array, level: Level) -> Array:
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "interval":
        return np.asarray((values[:, None] - values[None, :]) ** 2)
    # As many ratings as lie between two values, half of those at the ends counted.
    middle = np.cumsum(totals) - totals / 2
    return np.asarray((middle[:, None] - middle[None, :]) ** 2)


def _interval(
    counts: Array, values: Array, level: Level, seed: int, draws: int
) -> tuple[float, float] | None:
    random = np.random.default_rng(seed)
    n = len(counts)
    if n < 2:
        return None
    found = [_alpha(counts[random.integers(0, n, n)], values, level) for _ in range(draws)]
    known = [alpha for alpha in found if alpha is not None]
    if 2 * len(known) <= draws:
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
