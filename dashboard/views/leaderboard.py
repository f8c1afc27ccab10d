"""Leaderboard: which checkpoint is best, and how sure that is."""

from typing import Any

import pandas as pd
import streamlit as st
from parts import data
from parts.charts import intervals
from parts.export import as_csv, as_markdown
from parts.links import link
from parts.pick import pick
from parts.text import digits_for, label, number, visible

from evalkit.results import Overview, leaderboard

ROWS = 50
CHART_ROWS = 20
CHARTS = 12
PER_LINE = 3
ALL = "All"
NEWEST = "Newest first"
EACH = "Each task's primary"
SIGNS = {"best": " ●", "tied": " ○", "": ""}
SHADES = {
    "●": "background-color: rgba(0, 114, 178, 0.24)",
    "○": "background-color: rgba(86, 180, 233, 0.16)",
}
LEGEND = (
    "Value and 95 % interval. ● best of its column, ○ not told apart from the best, "
    "† other documents or another definition than most runs, so never marked. "
    "↑ more is better, ↓ less is better."
)


def page() -> None:
    """Draw the page."""
    st.title("Leaderboard")
    found = data.view()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", key="find", bind="query-params", placeholder="run, model or task", width=320
        )
        sorting = st.container(width=320)
        with st.popover("Filter"):
            runs = _filtered(found)
            suite, metric = _task_filters(found)
    scores = found.scores[found.scores["run_id"].isin(runs["run_id"])]
    scores = _searched(_of_family(scores), runs, text)
    if suite is not None:
        scores = scores[scores["task"].isin(suite)]
    board = leaderboard(scores, metric)
    if board.empty:
        st.info("No run and task fit these choices.")
        return
    with sorting:
        runs = _sorted(runs[runs["run_id"].isin(board["run_id"])], board)
    _table(runs, board)
    _charts(runs, board)


def _filtered(found: Overview) -> pd.DataFrame:
    """Runs of the chosen models that bear every chosen tag."""
    runs = found.runs
    models = sorted(runs["model"].unique())
    tags = sorted({tag for row in runs["tags"] for tag in row})
    wanted = st.multiselect("Models", models, key="model", bind="query-params", format_func=visible)
    borne = st.multiselect("Tags", tags, key="tag", bind="query-params", format_func=visible)
    if wanted:
        runs = runs[runs["model"].isin(wanted)]
    return runs[[set(borne) <= set(row) for row in runs["tags"]]]


def _task_filters(found: Overview) -> tuple[list[str] | None, str | None]:
    """Tasks of the chosen suite and the chosen metric; None for all and for the primary one."""
    suites: dict[str, list[str]] = {}
    for run in found.manifests.values():
        suites = {**run.suites, **suites}
    suite = pick("Suite", ["", *sorted(suites)], "suite", "", lambda name: visible(name or ALL))
    metrics = sorted(found.scores["metric"].unique())
    metric = pick("Metric", ["", *metrics], "metric", "", lambda name: visible(name or EACH))
    return suites.get(suite), metric or None


def _of_family(scores: pd.DataFrame) -> pd.DataFrame:
    families = sorted(scores["family"].dropna().unique())
    if len(families) < 2:
        return scores
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
    return scores if family == ALL else scores[scores["family"] == family]


def _searched(scores: pd.DataFrame, runs: pd.DataFrame, text: str) -> pd.DataFrame:
    """Scores whose task bears the text, else those whose run or model does."""
    if not text:
        return scores
    words = runs["name"] + "\n" + runs["model"] + "\n" + runs["run_id"]
    hits = runs.loc[words.str.contains(text, case=False, regex=False), "run_id"]
    of_runs = scores["run_id"].isin(hits)
    return scores[of_runs | scores["task"].str.contains(text, case=False, regex=False)]


def _sorted(runs: pd.DataFrame, board: pd.DataFrame) -> pd.DataFrame:
    """Runs, newest first or by one figure, the best on top and those without it last."""
    figures = list(dict.fromkeys(board["figure"]))
    by = pick("Sort by", [NEWEST, *figures], "sort", NEWEST)
    if by == NEWEST:
        return runs
    rows = board[board["figure"] == by].set_index("run_id")
    ascending = rows["higher_is_better"].eq(False).any()
    value = runs["run_id"].map(rows["value"])
    return runs.loc[value.sort_values(ascending=ascending, na_position="last", kind="stable").index]


def _table(runs: pd.DataFrame, board: pd.DataFrame) -> None:
    shown = runs.head(ROWS)
    if len(shown) < len(runs):
        st.caption(f"The first {ROWS} of {len(runs)} runs; search or filter to see others.")
    cells = _cells(board[board["run_id"].isin(shown["run_id"])])
    wide = shown[["run_id", "label"]].merge(cells, on="run_id", how="left").drop(columns="run_id")
    figures = [name for name in cells.columns if name != "run_id"]
    wide["date"] = shown["created"].dt.strftime("%d %b %Y").fillna("").to_numpy()
    wide["label"] = [visible(name) for name in wide["label"]]
    columns = {
        "label": st.column_config.TextColumn("Run", pinned=True, width=150),
        "date": st.column_config.TextColumn("Date", width=95),
    }
    columns |= {
        name: st.column_config.TextColumn(visible(name), width=_width(name)) for name in figures
    }
    styled = wide.fillna("").style.map(_shade, subset=figures)
    picked = st.dataframe(
        styled,
        hide_index=True,
        column_config=columns,
        alt="Leaderboard",
        on_select="rerun",
        selection_mode="multi-row",
        # Ticks belong to rows; other rows make another table, with none.
        key=f"picked {hash(tuple(shown['run_id']))}",
    )
    # The index of runs counts from the newest, however they are sorted here.
    _onward(shown.iloc[picked.selection.rows].sort_index()["run_id"].tolist())
    st.caption(LEGEND)
    _exports(runs, board)


def _width(heading: str) -> int:
    """Pixels that show a heading in full, or a cell where that is wider."""
    return max(165, 30 + 7 * min(len(heading), 45))


def _onward(chosen: list[str]) -> None:
    """Links for the ticked runs."""
    if len(chosen) == 1:
        link("Read this run's samples", "samples", a=chosen[0])
    elif len(chosen) == 2:
        newer, older = chosen
        link("Compare the two runs", "compare", a=older, b=newer)


def _cells(board: pd.DataFrame) -> pd.DataFrame:
    """Runs by figures, each cell a figure as text, padded so that it sorts as it reads."""
    texts = board[["run_id"]].assign(column="", cell="")
    for figure, rows in board.groupby("figure", sort=False):
        largest = rows[["value", "ci_high"]].abs().max().max()
        digits = digits_for(largest)
        width = len(number(largest, digits))
        texts.loc[rows.index, "column"] = _heading(figure, rows)
        texts.loc[rows.index, "cell"] = [_cell(row, digits, width) for row in rows.itertuples()]
    order = list(dict.fromkeys(texts["column"]))
    wide = texts.pivot_table(index="run_id", columns="column", values="cell", aggfunc="first")
    return wide[order].reset_index()


def _heading(figure: str, rows: pd.DataFrame) -> str:
    """The figure with an arrow towards what is better."""
    known = rows["higher_is_better"].dropna()
    return figure if known.empty else f"{figure} {'↑' if known.iloc[0] else '↓'}"


def _cell(row: Any, digits: int, width: int) -> str:
    value = f"{number(row.value, digits):>{width}}"
    ends = f" ({number(row.ci_low, digits)}–{number(row.ci_high, digits)})"
    sign = SIGNS[row.mark] if row.comparable else " †"
    return value + (ends if row.ci_low == row.ci_low else "") + sign


def _shade(cell: str) -> str:
    return SHADES.get(cell[-1:], "")


def _exports(runs: pd.DataFrame, board: pd.DataFrame) -> None:
    """Files of everything that fits the choices, made when asked for."""

    def long() -> str:
        rows = runs[["run_id", "name", "model", "created"]].merge(board, on="run_id")
        return as_csv(rows.drop(columns=["primary", "figure"]))

    def wide() -> str:
        rows = runs[["run_id", "label"]].merge(_cells(board), on="run_id")
        return as_markdown(rows.fillna("").drop(columns="run_id").rename(columns={"label": "run"}))

    with st.container(horizontal=True):
        st.download_button("CSV", long, "leaderboard.csv", "text/csv")
        st.download_button("Markdown", wide, "leaderboard.md", "text/markdown")


def _charts(runs: pd.DataFrame, board: pd.DataFrame) -> None:
    shown = runs.head(CHART_ROWS)
    order = [visible(name) for name in shown["label"]]
    rows = shown[["run_id", "label"]].merge(board, on="run_id")
    rows["label"] = [visible(name) for name in rows["label"]]
    figures = list(dict.fromkeys(rows["figure"]))
    st.subheader("Intervals")
    if len(shown) < len(runs) or len(figures) > CHARTS:
        st.caption(f"The first {CHART_ROWS} runs and {CHARTS} tasks of the table.")
    for start in range(0, min(len(figures), CHARTS), PER_LINE):
        line = figures[start : start + PER_LINE]
        for figure, place in zip(line, st.columns(PER_LINE), strict=False):
            chosen = rows[(rows["figure"] == figure) & rows["value"].notna()]
            with place.container(border=True):
                _chart(figure, chosen, order)


def _chart(figure: str, rows: pd.DataFrame, order: list[str]) -> None:
    if rows.empty:
        st.text(visible(figure))
        st.caption("Undefined in every run.")
        return
    st.text(visible(_heading(figure, rows)))
    st.altair_chart(intervals(rows, order), alt="Values with 95 % intervals by run")


page()
