"""The leaderboard's table: runs are ticked, headings sort.

Streamlit's own takes the browser half a second to load, sorts only the rows it was given, and is a
picture: not to be searched with the browser, and read aloud from a copy.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st
from parts.text import visible

KINDS = {"●": "best", "○": "tied"}
_HERE = Path(__file__).parent
_mount = st.components.v2.component(
    "runs_table",
    html='<div class="scroll" role="region" tabindex="0"></div>',
    css=(_HERE / "runs_table.css").read_text(encoding="utf-8"),
    js=(_HERE / "runs_table.js").read_text(encoding="utf-8"),
)


def runs_table(
    cells: pd.DataFrame,
    *,
    ids: list[str],
    headings: dict[str, tuple[str, str]],
    order: tuple[str, bool],
    on_sort: Callable[[], None],
    key: str,
) -> list[str]:
    """Draw a table and return the ids of the ticked runs.

    Args:
        cells: Texts, a row for each run; the first column names it.
        ids: Of the runs, in the order of the rows.
        headings: Column -> what it is called in `order` and what its heading says.
        order: By what the rows are sorted, and whether it ascends.
        on_sort: Called when a heading is pressed; `st.session_state[key]["sort"]` tells which.
        key: Of the table in the session's state.
    """
    by, ascending = order
    direction = "ascending" if ascending else "descending"
    columns = [
        {"name": name, "title": visible(title), "sorted": direction if name == by else "none"}
        for name, title in map(headings.__getitem__, cells.columns)
    ]
    rows = [
        {"id": run, "cells": [[text, KINDS.get(text[-1:], "")] for text in texts]}
        for run, texts in zip(ids, cells.itertuples(index=False), strict=True)
    ]
    found = _mount(
        key=key,
        data={"columns": columns, "rows": rows},
        default={"ticked": []},
        on_ticked_change=_nothing,
        on_sort_change=on_sort,
    )
    return list(found.ticked)


def _nothing() -> None:
    """A tick needs no more than the page being drawn again."""
