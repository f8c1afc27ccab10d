"""Runs by figures as text cells: the leaderboard's table, on the page and in files."""

from typing import Any

import pandas as pd
from parts.text import digits_for, interval, number

SIGNS = {"best": " ●", "tied": " ○", "": ""}
OTHER = " †"


def cells(board: pd.DataFrame) -> pd.DataFrame:
    """Runs by figures, each cell a figure as text, padded so that it sorts as it reads."""
    texts = board[["run_id"]].assign(column="", cell="")
    for figure, rows in board.groupby("figure", sort=False):
        digits = digits_for(rows[["value", "ci_high"]].abs().max().max())
        width = max(len(number(value, digits)) for value in rows["value"])
        texts.loc[rows.index, "column"] = heading(str(figure), rows)
        texts.loc[rows.index, "cell"] = [_cell(row, digits, width) for row in rows.itertuples()]
    order = list(dict.fromkeys(texts["column"]))
    wide = texts.pivot_table(index="run_id", columns="column", values="cell", aggfunc="first")
    return wide[order].reset_index()


def heading(figure: str, rows: pd.DataFrame) -> str:
    """The figure with an arrow towards what is better."""
    known = rows["higher_is_better"].dropna()
    return figure if known.empty else f"{figure} {'↑' if known.iloc[0] else '↓'}"


def _cell(row: Any, digits: int, width: int) -> str:
    value = f"{number(row.value, digits):>{width}}"
    sign = SIGNS[row.mark] if row.comparable else OTHER
    return value + interval(row.ci_low, row.ci_high, digits) + sign
