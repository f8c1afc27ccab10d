"""A table: its headings sort, its rows can be ticked, every text is shown as text.

Streamlit's own takes the browser half a second to load and is a picture: not to be searched with
the browser's search, its text not to be copied, read aloud from a copy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import streamlit as st
from parts.text import visible

WHOLE = 25
"""Longer tables scroll within a box."""

_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "table",
    html='<div class="box"></div>',
    css=(_HERE / "table.css").read_text(encoding="utf-8"),
    js=(_HERE / "table.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True, slots=True)
class Sorting:
    """An order that the page makes, of more rows than the table shows.

    Attributes:
        by: Column the rows are sorted by.
        ascending: Whether from the smallest on.
        on_sort: Called when a heading is pressed; `st.session_state[key]["sort"]` is its column.
    """

    by: str
    ascending: bool
    on_sort: Callable[[], None]


def draw_table(
    rows: pd.DataFrame,
    titles: Mapping[str, str],
    alt: str,
    *,
    ids: Sequence[str] = (),
    tick: Literal["", "one", "many"] = "",
    ticked: Sequence[str] = (),
    on_tick: Callable[[], None] | None = None,
    key: str | None = None,
    sorting: Sorting | None = None,
    marked: bool = False,
) -> list[str]:
    """Draw a table and return the ids of the ticked rows, of many also those it no longer shows.

    Args:
        rows: What stands in the cells; the first column names the row and stays in sight.
        titles: Column -> its heading. A column without one has its own name.
        alt: What a screen reader says of it.
        ids: Of the rows, where they can be ticked.
        tick: How many rows can be ticked.
        ticked: Id of the one row that is, which the page keeps; of many the table keeps them.
        on_tick: Called when another is ticked; `st.session_state[key]["ticked"]` has its id.
        key: Of the table in the session's state, where rows can be ticked or the page sorts.
        sorting: Where headings do not sort what the table shows.
        marked: Whether cells that end in ● or ○ are shaded.
    """
    columns = [
        {
            "name": name,
            "title": visible(titles.get(name, name)),
            "number": pd.api.types.is_numeric_dtype(rows[name]),
        }
        for name in rows.columns
    ]
    cells = [[_text(cell) for cell in row] for row in rows.itertuples(index=False)]
    order = None if sorting is None else {"by": sorting.by, "ascending": sorting.ascending}
    if tick == "many":
        ticked = st.session_state.get(key, {}).get("ticked", ())
    data = {
        "alt": alt,
        "columns": columns,
        "rows": cells,
        "ids": list(ids),
        "tick": tick,
        "ticked": list(ticked),
        "order": order,
        "marked": marked,
        "whole": len(cells) <= WHOLE,
    }
    found = _mount(
        key=key,
        data=data,
        default={"ticked": []},
        on_ticked_change=on_tick or _nothing,
        on_sort_change=_nothing if sorting is None else sorting.on_sort,
    )
    return list(found.ticked)


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return visible(cell)
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return "–"
    return f"{cell:.10g}" if isinstance(cell, float) else str(cell)


def _nothing() -> None:
    """A tick needs no more than the page being drawn again."""
