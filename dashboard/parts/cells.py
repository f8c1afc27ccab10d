"""Runs by figures as text cells: the leaderboard's table, on the page and in files."""

import math
from typing import Any

import pandas as pd
from parts.text import digits_for, interval, number

SIGNS = {"best": " ●", "tied": " ○", "": ""}
OTHER = " †"
_FIELDS = ["run_id", "figure", "value", "ci_low", "ci_high", "higher_is_better", "mark"]
_FIELDS += ["comparable"]


def cells(board: pd.DataFrame) -> pd.DataFrame:
    """Runs by figures, each cell a figure as text, padded so that it sorts as it reads."""
    figures: dict[str, list[Any]] = {}
    for row in board[_FIELDS].itertuples(index=False):
        figures.setdefault(row.figure, []).append(row)
    runs = list(board["run_id"].unique())
    wide = {"run_id": runs}
    for figure, rows in figures.items():
        known = [abs(end) for row in rows for end in (row.value, row.ci_high) if end == end]
        digits = digits_for(max(known, default=math.nan))
        width = max(len(number(row.value, digits)) for row in rows)
        better = next((b for row in rows if not pd.isna(b := row.higher_is_better)), None)
        texts = {row.run_id: _cell(row, digits, width) for row in reversed(rows)}
        wide[figure + arrow(better)] = [texts.get(run) for run in runs]
    return pd.DataFrame(wide)


def heading(figure: str, rows: pd.DataFrame) -> str:
    """The figure with an arrow towards what is better."""
    known = rows["higher_is_better"].dropna()
    return figure + arrow(None if known.empty else known.iloc[0])


def arrow(better: bool | None) -> str:
    """Towards what is better; nothing where neither direction is."""
    return "" if better is None else " ↑" if better else " ↓"


def _cell(row: Any, digits: int, width: int) -> str:
    value = f"{number(row.value, digits):>{width}}"
    sign = SIGNS[row.mark] if row.comparable else OTHER
    return value + interval(row.ci_low, row.ci_high, digits) + sign
