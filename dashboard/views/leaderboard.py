"""Leaderboard: which checkpoint is best, and how sure that is."""

from datetime import date
from functools import partial

import pandas as pd
import streamlit as st
from parts import data
from parts.cells import cells, heading
from parts.export import as_csv, as_latex, as_markdown
from parts.frame import cards
from parts.intervals import intervals
from parts.links import link
from parts.pick import pick
from parts.table import Sorting, draw_table
from parts.text import label, visible

from evalkit.results import Board, Choice

ROWS = 50
FIGURES = 24
CHART_ROWS = 20
# Of a few columns all are drawn; of many only the first, as each costs the browser its time.
CHARTS = 12
CHARTS_OF_MANY = 3
ALL = "All"
RUN, DATE = "run", "date"
"""What the table can be sorted by beside its figures, by their names in the URL."""
REVERSED = "-"
KEY = "runs"
EACH = "Each task's primary"
LISTED = {"models": ("Models", "model"), "tags": ("Tags", "tag"), "tasks": ("Tasks", "tasks")}
COLUMNS = {"": "Tasks", "suites": "Suites"}
LEGEND = (
    "Value and 95 % interval. ● best of its column, ○ not told apart from the best, "
    "† other documents or another definition than most runs, so never marked. "
    "↑ more is better, ↓ less is better."
)
MEANS = (
    "A suite's column is the plain mean of one metric over its tasks; metrics on no common scale, "
    "such as perplexity, are left out."
)


def page() -> None:
    """Draw the page."""
    st.title("Leaderboard")
    found = data.view()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", key="find", bind="query-params", placeholder="run, model or task", width=320
        )
        with st.popover("Filter"):
            filters = _filters()
    board = data.board(Choice(text=text, family=_family(), **filters))
    if board.scores.empty:
        st.info("No run and task fit these choices.")
        return
    by, ascending = _order(board)
    runs = _sorted(board, by, ascending)
    ticked = _table(runs, board, by, ascending)
    _onward(found.runs[found.runs["run_id"].isin(ticked)])
    scores = board.scores
    st.caption(f"{LEGEND} {MEANS}" if scores["aggregation"].eq("mean over tasks").any() else LEGEND)
    _exports(runs, scores)
    _charts(runs, board)


def _filters() -> dict[str, object]:
    """What the popover holds, by the fields of `Choice`."""
    known = data.names()
    chosen: dict[str, object] = {
        field: tuple(
            st.multiselect(title, known[field], key=key, bind="query-params", format_func=visible)
        )
        for field, (title, key) in LISTED.items()
    }
    since, until = st.columns(2)
    chosen["since"] = _day("From day", "since", since)
    chosen["until"] = _day("To day", "until", until)
    for field, absent in (("suite", ALL), ("metric", EACH)):
        options = ["", *known[f"{field}s"]]
        shown = partial(_or, absent)
        chosen[field] = pick(field.capitalize(), options, field, "", shown) or None
    chosen["by_suite"] = pick("Columns", list(COLUMNS), "by", "", COLUMNS.__getitem__) == "suites"
    return chosen


def _or(absent: str, name: str) -> str:
    return visible(name or absent)


def _day(title: str, key: str, place: st.delta_generator.DeltaGenerator) -> date | None:
    return place.date_input(title, value=None, key=key, bind="query-params", format="YYYY-MM-DD")


def _family() -> str | None:
    families = data.names()["families"]
    if len(families) < 2:
        return None
    family = st.segmented_control(
        "Family",
        [ALL, *families],
        key="family",
        default=ALL,
        required=True,
        bind="query-params",
        format_func=label,
        label_visibility="collapsed",
    )
    return None if family == ALL else family


def _order(board: Board) -> tuple[str, bool]:
    """What the link sorts by, and whether it ascends: to begin with newest, best or A first."""
    asked = st.query_params.get("sort", DATE)
    by = asked.removeprefix(REVERSED)
    if by not in (RUN, DATE, *board.figures):
        return DATE, False
    lower = board.scores.loc[board.scores["figure"] == by, "higher_is_better"].eq(False).any()
    return by, bool(by == RUN or lower) != asked.startswith(REVERSED)


def _resort(before: str) -> None:
    """Sort by the column whose heading was pressed; once more turns it round."""
    by = st.session_state[KEY]["sort"]
    is_reversed = st.query_params.get("sort", DATE).startswith(REVERSED)
    st.query_params["sort"] = REVERSED + by if by == before and not is_reversed else by


def _sorted(board: Board, by: str, ascending: bool) -> pd.DataFrame:
    """Runs by their dates, their names or one figure; those without it are last."""
    if by == DATE:
        return board.runs[::-1] if ascending else board.runs
    if by == RUN:
        keys = board.runs["label"].str.casefold()
    else:
        rows = board.scores[board.scores["figure"] == by].set_index("run_id")
        keys = board.runs["run_id"].map(rows["value"])
    order = keys.sort_values(ascending=ascending, na_position="last", kind="stable")
    return board.runs.loc[order.index]


def _of(runs: pd.DataFrame, board: Board) -> tuple[list[str], pd.DataFrame]:
    """Figures and scores of some runs of a board."""
    scores = board.scores[board.scores["run_id"].isin(runs["run_id"])]
    known = set(scores["figure"].unique())
    return [name for name in board.figures if name in known], scores


def _table(runs: pd.DataFrame, board: Board, by: str, ascending: bool) -> list[str]:
    """Draw the table and return the ids of the ticked runs, also of those that a search hides."""
    shown = runs.head(ROWS)
    figures, scores = _of(shown, board)
    # What the rows are sorted by is among the columns, however many there are.
    figures.sort(key=lambda figure: figure != by)
    cut = []
    if len(shown) < len(runs):
        cut.append(f"{ROWS} of {len(runs):,} runs")
    if len(figures) > FIGURES:
        cut.append(f"{FIGURES} of {len(figures)} columns")
        scores = scores[scores["figure"].isin(figures[:FIGURES])]
    if cut:
        st.caption(f"The first {' and '.join(cut)}: search, choose a family or filter.")
    wide = _wide(shown, scores)
    of_figures = scores.groupby("figure")
    titled = {heading(name, of_figures.get_group(name)): name for name in figures[:FIGURES]}
    return draw_table(
        wide.rename(columns={"label": RUN, **titled}),
        {RUN: "Run", DATE: "Date"} | {figure: title for title, figure in titled.items()},
        "Leaderboard",
        ids=shown["run_id"].tolist(),
        tick="many",
        key=KEY,
        sorting=Sorting(by, ascending, partial(_resort, by)),
        marked=True,
    )


def _wide(runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Runs by figures as text, named and dated."""
    texts = cells(scores)
    wide = runs[["run_id", "label"]].merge(texts, on="run_id", how="left").drop(columns="run_id")
    wide["date"] = runs["created"].dt.strftime("%d %b %Y").fillna("").to_numpy()
    wide["label"] = [visible(name) for name in wide["label"]]
    return wide.fillna("")


def _onward(chosen: pd.DataFrame) -> None:
    """Links for the ticked runs."""
    names = label(", ".join(chosen["label"]))
    if len(chosen) == 1:
        link(f"Read samples: {names}", "samples", a=chosen["run_id"].iloc[0])
    elif len(chosen) == 2:
        newer, older = chosen["run_id"]
        link(f"Compare the two runs: {names}", "compare", a=older, b=newer)
    elif len(chosen):
        st.caption(f"{len(chosen)} runs are ticked, two can be compared: {names}")


def _exports(runs: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Files of everything that fits the choices, made when asked for."""

    def long() -> str:
        rows = runs[["run_id", "name", "model", "created"]].merge(scores, on="run_id")
        return as_csv(rows.drop(columns=["primary", "figure"]))

    def wide() -> pd.DataFrame:
        return _wide(runs, scores).drop(columns="date").rename(columns={"label": "run"})

    with st.popover("Export"):
        st.download_button("CSV", long, "leaderboard.csv", "text/csv")
        st.download_button(
            "Markdown", lambda: as_markdown(wide()), "leaderboard.md", "text/markdown"
        )
        st.download_button("LaTeX", lambda: as_latex(wide()), "leaderboard.tex", "text/x-tex")


def _charts(runs: pd.DataFrame, board: Board) -> None:
    rows = runs[["run_id", "label"]].head(CHART_ROWS)
    figures, scores = _of(rows, board)
    count = CHARTS if len(figures) <= CHARTS else CHARTS_OF_MANY
    order = [visible(name) for name in rows["label"]]
    rows = rows.merge(scores[scores["figure"].isin(figures[:count])], on="run_id")
    rows["label"] = [visible(name) for name in rows["label"]]
    known = rows[rows["value"].notna()]
    st.header("Intervals")
    if len(order) < len(runs) or len(figures) > count:
        st.caption(f"The first {CHART_ROWS} runs and {count} columns of the table.")
    st.html(cards(_chart(name, known[known["figure"] == name], order) for name in figures[:count]))


def _chart(figure: str, rows: pd.DataFrame, order: list[str]) -> tuple[str, str]:
    if rows.empty:
        return figure, "Undefined in every run."
    alt = f"{figure} by run, with 95 % intervals"
    return heading(figure, rows), intervals(rows, order, alt)


page()
