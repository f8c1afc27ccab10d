"""The differences of a comparison as rows that are ready to draw."""

import pandas as pd
from parts.text import digits_for

from evalkit.results import Comparison, primary_metric

SHARES = ("mean", "nanmean", "f1", "mcc")


def differences(comparison: Comparison, *, every: bool) -> pd.DataFrame:
    """Rows of `Comparison.frame`, of each task's primary metric or of every one.

    Added columns: figure (name, unique), standing ("better", "worse", "open", "untested", or ""
    where neither direction is better), gain with gain_low and gain_high (positive where B is
    better), is_share (whether it is a ratio, so that it can share an axis with others) and digits
    (decimals that suit the row). The index is the place in `comparison.differences`.
    """
    rows = comparison.frame()
    numbers = [
        "baseline",
        "candidate",
        "difference",
        "ci_low",
        "ci_high",
        "p_holm",
        "visible_effect",
    ]
    rows[numbers] = rows[numbers].astype(float)
    several = rows.groupby(["task", "metric"])["filter"].transform("nunique") > 1
    rows["figure"] = rows["task"] + " · " + rows["metric"]
    rows.loc[several, "figure"] += " · " + rows["filter"]
    rows["standing"] = [_standing(comparison, place) for place in range(len(rows))]
    lower = rows["higher_is_better"].eq(False)
    rows["gain"] = rows["difference"].where(~lower, -rows["difference"])
    rows["gain_low"] = rows["ci_low"].where(~lower, -rows["ci_high"])
    rows["gain_high"] = rows["ci_high"].where(~lower, -rows["ci_low"])
    largest = rows[["baseline", "candidate"]].abs().max(axis=1)
    keys = rows[["task", "metric", "filter"]].itertuples(index=False, name=None)
    on_shares = [comparison.aggregations.get(key) in SHARES for key in keys]
    rows["is_share"] = (largest <= 1) & (rows["unit"] == "") & pd.Series(on_shares, rows.index)
    rows["digits"] = [digits_for(value) for value in largest.fillna(0)]
    return rows if every else rows[_is_primary(rows)]


def _standing(comparison: Comparison, place: int) -> str:
    row = comparison.differences[place]
    if row.gain is None:
        return ""
    if row.p_holm is None:
        return "untested"
    if not row.significant():
        return "open"
    return "better" if row.gain > 0 else "worse"


def _is_primary(rows: pd.DataFrame) -> pd.Series:
    chosen = {
        task: primary_metric(list(mine[["metric", "filter"]].itertuples(index=False, name=None)))
        for task, mine in rows.groupby("task")
    }
    keys = rows[["task", "metric", "filter"]].itertuples(index=False, name=None)
    standing = [chosen[task] == (metric, filter_) for task, metric, filter_ in keys]
    return pd.Series(standing, index=rows.index)
