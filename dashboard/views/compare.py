"""Compare: is run B better than run A, and where."""

from typing import Any

import pandas as pd
import streamlit as st
from parts import data
from parts.differences import differences
from parts.frame import cards
from parts.intervals import forest
from parts.links import link
from parts.messages import say, warn_of
from parts.pick import pick, pick_run
from parts.sample import NORMALISED
from parts.table import draw_table
from parts.text import number, one_line, visible

from evalkit.errors import DataError, EvalkitError
from evalkit.results import Comparison, Overview, figure_flips, manifest_differences

PRIMARY = "primary"
EVERY = "all"
FLIPS = 16
COUNTED = {"better": "better", "worse": "worse", "open": "not told apart"}
STANDINGS = {
    "better": "▲ B better",
    "worse": "▼ B worse",
    "open": "not told apart",
    "untested": "not tested",
    "": "",
}
DAMAGED = "Samples of some tasks cannot be read; these tasks are left out."
LEGEND = (
    "B − A over the samples both runs answered, with its 95 % interval. p is corrected (Holm) for "
    "all tests of the comparison; B is called better or worse where it is below 0.05. The smallest "
    "effect is what so many samples find in 80 % of cases."
)


def page() -> None:
    """Draw the page."""
    st.title("Compare")
    found = data.view()
    a, b, every = _choices(found)
    if a == b:
        st.info("Choose two different runs.")
        return
    try:
        comparison = data.comparison(a, b)
    except EvalkitError as error:
        say("These two runs cannot be compared.", str(error))
    else:
        _figures(comparison, every)
    _manifests(found, a, b)


def _choices(found: Overview) -> tuple[str, str, bool]:
    """Run A and run B (by default the newest two), and whether to show every metric."""
    ids = list(found.runs["run_id"])
    names = {PRIMARY: "each task's primary", EVERY: "all"}
    with st.container(horizontal=True):
        a = pick_run("Run A, the baseline", found.runs, "a", ids[min(1, len(ids) - 1)])
        b = pick_run("Run B, the candidate", found.runs, "b", ids[0])
        metrics = pick("Metrics", list(names), "metrics", PRIMARY, names.__getitem__)
    return a, b, metrics == EVERY


def _figures(comparison: Comparison, every: bool) -> None:
    """Differences as a forest plot and a table, and the samples behind one of them."""
    warn_of(list(comparison.damaged.values()), DAMAGED)
    for note in comparison.notes:
        st.text(visible(note))
    rows = differences(comparison, every=every)
    if rows.empty:
        st.info("The two runs share no figure.")
        return
    counts = rows["standing"].value_counts()
    told = [f"{counts.get(key, 0)} {word}" for key, word in COUNTED.items()]
    st.header(f"B against A: {', '.join(told)}")
    _forest(rows)
    _table(rows)
    _flipped(comparison, rows)


def _forest(rows: pd.DataFrame) -> None:
    """Shares in one plot, every figure of another scale or without a direction in its own."""
    rows = rows[rows["difference"].notna()]
    together = rows["is_share"] & (rows["standing"] != "")
    if together.any():
        st.html(forest(rows[together], "Differences of shares with 95 % intervals"))
    others = [rows[~together].iloc[[place]] for place in range((~together).sum())]
    if others:
        alts = [f"{one['figure'].iloc[0]}: difference with its 95 % interval" for one in others]
        st.html(cards(("", forest(*each)) for each in zip(others, alts, strict=True)))


def _table(rows: pd.DataFrame) -> None:
    shown = pd.DataFrame(
        {
            "figure": rows["figure"],
            "standing": rows["standing"].map(STANDINGS),
            "difference": [_difference(row) for row in rows.itertuples()],
            "a": [_value(row, row.baseline) for row in rows.itertuples()],
            "b": [_value(row, row.candidate) for row in rows.itertuples()],
            "wins": rows["wins"],
            "losses": rows["losses"],
            "n": rows["n"],
            "p": [_p(value) for value in rows["p_holm"]],
            "visible": [_value(row, row.visible_effect) for row in rows.itertuples()],
            "note": rows["note"],
        }
    )
    titles = {
        "figure": "Figure",
        "standing": "Finding",
        "difference": "B − A",
        "a": "A",
        "b": "B",
        "wins": "B wins",
        "losses": "B loses",
        "n": "Pairs",
        "p": "p (Holm)",
        "visible": "Smallest effect",
        "note": "Note",
    }
    draw_table(shown, titles, "Differences of two runs")
    st.caption(LEGEND)


def _flipped(comparison: Comparison, rows: pd.DataFrame) -> None:
    """The samples of one figure that the two runs did differently, losses first."""
    st.header("Samples that changed")
    figures = list(rows["figure"])
    chosen = pick("Of", figures, "of", figures[0])
    figure = comparison.differences[int(rows.index[figures.index(chosen)])]
    try:
        found = figure_flips(comparison, figure, FLIPS)
    except DataError as error:
        say("The samples of this task cannot be read.", str(error))
        return
    if not found:
        st.info("No sample of it changed.")
        return
    table = pd.DataFrame(
        {
            "doc": [flip.doc_id for flip in found],
            "outcome": ["▲ won" if flip.outcome == "won" else "▼ lost" for flip in found],
            "asked": [one_line(flip.prompt[-160:]) for flip in found],
            "value_a": [f"{flip.baseline_value:.4g}" for flip in found],
            "value_b": [f"{flip.candidate_value:.4g}" for flip in found],
            "target": [one_line(flip.target) for flip in found],
            "a": [one_line(flip.baseline_answer) for flip in found],
            "b": [one_line(flip.candidate_answer) for flip in found],
        }
    )
    table = table.drop(columns=[name for name in ("a", "b") if not table[name].any()])
    titles = {
        "doc": "No.",
        "outcome": "Outcome",
        "asked": "End of the prompt",
        "value_a": "A",
        "value_b": "B",
        "target": "Right answer",
        "a": "Answer of A",
        "b": "Answer of B",
    }
    draw_table(table, titles, "Samples that changed")
    if figure.metric == "acc_norm":
        st.caption(NORMALISED)
    if len(found) < (figure.wins or 0) + (figure.losses or 0):
        st.caption(
            f"The {len(found)} largest changes, of {figure.losses} samples that B lost and "
            f"{figure.wins} that it won."
        )
    runs = {"a": comparison.baseline.run_id, "b": comparison.candidate.run_id}
    link("Read them side by side", "samples", **runs, task=figure.task, order="largest change")


def _manifests(found: Overview, a: str, b: str) -> None:
    st.header("What differs between the runs")
    differing = manifest_differences(found.manifests[a], found.manifests[b])
    if differing.empty:
        st.info("The two manifests agree in everything that could change a figure.")
        return
    draw_table(differing, {"setting": "Setting", "a": "A", "b": "B"}, "Settings that differ")


def _difference(row: Any) -> str:
    if row.difference != row.difference:
        return "–"
    ends = f" ({number(row.ci_low, row.digits)} to {number(row.ci_high, row.digits)})"
    return f"{row.difference:+.{row.digits}f}" + (ends if row.ci_low == row.ci_low else "")


def _value(row: Any, value: float) -> str:
    return number(value, row.digits)


def _p(value: float) -> str:
    return "–" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


page()
