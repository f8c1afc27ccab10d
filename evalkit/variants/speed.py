"""How much faster and smaller a variant was than the original beside it."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.errors import DataError
from evalkit.results import Store
from evalkit.results.profiles import PROFILE, WHOLE
from evalkit.stats import t_interval

MEMORY = ("serving_memory_bytes", "peak_memory_bytes")
"""The first of these that a profile has is its memory."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval; ends that are undefined are None."""

    value: float
    low: float | None = None
    high: float | None = None


def times_as_fast(store: Store, original: str, variant: str) -> Figure:
    """By which factor a variant's batches took less time than the original's in the same rounds.

    The geometric mean over settings; a t interval over rounds, of its logarithm.

    Args:
        store: Where both profiles lie.
        original: Run id of the original's profile.
        variant: Run id of the variant's, taken in turns with it.

    Raises:
        DataError: The two did not ask the same batches.
    """
    old, new = (_batch_seconds(store, run) for run in (original, variant))
    if not old.index.equals(new.index):
        raise DataError(f"{original} and {variant} did not time the same batches.")
    rounds = (old / new).map(math.log).groupby("round").mean().to_numpy()
    mean, count = float(rounds.mean()), len(rounds)
    if count < 2:
        return Figure(float(np.exp(mean)))
    ends = t_interval(mean, float(rounds.std(ddof=1)) / count**0.5, count - 1)
    return Figure(float(np.exp(mean)), *(float(np.exp(end)) for end in ends))


def memory_of(scores: pd.DataFrame) -> Figure | None:
    """Bytes that a profile's process held while it answered, from the profile's scores."""
    whole = scores[(scores["task"] == PROFILE) & scores["filter"].fillna(WHOLE).eq(WHOLE)]
    for name in MEMORY:
        rows = whole[(whole["metric"] == name) & whole["value"].notna()]
        if len(rows):
            row = rows.iloc[0]
            low, high = (None if pd.isna(row[end]) else float(row[end]) for end in _ENDS)
            return Figure(float(row["value"]), low, high)
    return None


_ENDS = ("ci_low", "ci_high")


def _batch_seconds(store: Store, run: str) -> pd.Series:
    """Seconds from the start of each batch to its last token, by setting and round."""
    samples = store.samples(run, PROFILE, ["filter", "cluster", "statistics"])
    seconds = samples["statistics"].map(lambda values: values["end_to_end_s"][0])
    parts = [samples["filter"].rename("setting")]
    parts.append(samples["cluster"].str.rpartition("-")[2].rename("round"))
    return seconds.groupby(parts).max().sort_index()
