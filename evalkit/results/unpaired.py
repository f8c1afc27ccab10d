"""Scores of samples that cannot be paired, compared as if the two runs had nothing in common."""

from typing import Any

import pandas as pd

from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.stats import ScoreSummary, UnpairedEstimate, compare_scores, minimal_detectable_effect


def unpaired_fields(row: pd.Series, why: str) -> dict[str, Any]:
    """The fields of a `Difference` that an unpaired comparison can fill.

    Args:
        row: A candidate's score with the baseline's in columns ending in `_baseline`.
        why: What kept the samples from being paired.
    """
    a, b = _summary(row, "_baseline"), _summary(row, "")
    old, new = _number(row["value_baseline"]), _number(row["value"])
    n = min(int(row["n"]), int(row["n_baseline"]))
    fields: dict[str, Any] = {"baseline": old, "candidate": new, "n": n}
    note = f"unpaired: {why}"
    if a is None or b is None or row["aggregation"] != row["aggregation_baseline"]:
        difference = None if old is None or new is None else new - old
        return fields | {"difference": difference, "note": f"{note}; values only"}
    found: UnpairedEstimate = compare_scores(a, b)
    visible = minimal_detectable_effect(found.stderr) if found.stderr > 0 else None
    return fields | {
        "difference": found.difference,
        "stderr": found.stderr,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p": found.p,
        "test": found.test,
        "visible_effect": visible,
        "note": note,
    }


def _summary(row: pd.Series, suffix: str) -> ScoreSummary | None:
    names = ("value", "stderr", "ci_low", "ci_high")
    numbers = [_number(row[f"{name}{suffix}"]) for name in names]
    clusters = _number(row[f"n_clusters{suffix}"])
    units = int(row[f"n{suffix}"]) if clusters is None else int(clusters)
    if units < 2 or row[f"aggregation{suffix}"] not in AGGREGATIONS:
        return None
    value, stderr, low, high = numbers
    if value is None or stderr is None or low is None or high is None:
        return None
    return ScoreSummary(value, stderr, low, high, units, row[f"interval{suffix}"] == "wilson")


def _number(value: object) -> float | None:
    return None if pd.isna(value) else float(value)  # type: ignore[call-overload, arg-type]
