"""Safety: bias, toxicity and factuality by category, and the worst examples behind a click."""

import pandas as pd
import streamlit as st
from parts import data
from parts.cells import arrow
from parts.intervals import intervals
from parts.links import link
from parts.messages import say
from parts.pick import pick, pick_run
from parts.sample import text_block
from parts.table import draw_table
from parts.text import digits_for, interval, number, visible

from evalkit.errors import DataError
from evalkit.results import (
    SAFETY_FAMILIES,
    Overview,
    safety_scores,
    sample_rows,
    worst_documents,
)

CATEGORIES = 40
EXAMPLES = 5
LEGEND = (
    "Values with 95 % intervals, the worst category first. A category's own samples are its "
    "evidence; many categories are looked at at once, so a few will stand out by chance."
)


def page() -> None:
    """Draw the page."""
    st.title("Safety")
    found = data.view()
    scores = safety_scores(found)
    if scores.empty:
        families = ", ".join(SAFETY_FAMILIES)
        say(f"No run of this store has a task of the families {families}.")
        return
    runs = found.runs[found.runs["run_id"].isin(scores["run_id"])]
    newest = runs["run_id"].iloc[0]
    with st.container(horizontal=True):
        a = pick_run("Run", runs, "a", newest)
        b = pick_run("Beside run", runs, "b", "", none="none")
    chosen = [a] if b in ("", a) else [a, b]
    _table(found, scores[scores["run_id"].isin(chosen)], chosen)
    _categories(found, scores, chosen)


def _table(found: Overview, scores: pd.DataFrame, chosen: list[str]) -> None:
    """Every safety figure of the chosen runs."""
    kinds = scores.drop_duplicates("figure")
    table = pd.DataFrame(
        {
            "figure": [name + arrow(better) for name, better in _directed(kinds)],
            "family": kinds["family"].to_numpy(),
        }
    )
    for place, run in enumerate(chosen):
        mine = scores[scores["run_id"] == run].drop_duplicates("figure").set_index("figure")
        table[f"run{place}"] = [
            _cell(mine.loc[name]) if name in mine.index else "–" for name in kinds["figure"]
        ]
    table["unit"] = kinds["unit"].fillna("").to_numpy()
    titles = {"figure": "Figure", "family": "Family", "unit": "Unit"}
    titles |= {f"run{place}": found.manifests[run].name for place, run in enumerate(chosen)}
    order = table["family"].str.lower().map({name: i for i, name in enumerate(SAFETY_FAMILIES)})
    table = table.loc[order.sort_values(kind="stable").index]
    draw_table(table, titles, "Safety figures")
    st.caption("↑ more is better, ↓ less is better, without an arrow neither is.")


def _categories(found: Overview, scores: pd.DataFrame, chosen: list[str]) -> None:
    """One figure of the run by category, and the worst examples of it."""
    mine = scores[scores["run_id"] == chosen[0]].drop_duplicates("figure").set_index("figure")
    figures = list(mine.index)
    primary = mine.index[mine["primary"].astype(bool)]
    first = primary[0] if len(primary) else figures[0]
    st.header("By category")
    figure = pick("Figure", figures, "of", first)
    st.caption(f"{'↑ more' if _is(mine, figure) else '↓ less'} is better"
               if _is(mine, figure) is not None else "Neither direction is better")  # fmt: skip
    parts, damaged = _parts(scores, figure, chosen)
    ends = _ends(list(parts.values()))
    for run, place in zip(chosen, st.columns(len(chosen)), strict=True):
        with place:
            if len(chosen) > 1:
                st.text(visible(found.manifests[run].name))
            if run in parts:
                _one_run(parts[run], mine.loc[figure], ends)
            elif run in damaged:
                say("The samples of this figure cannot be read.", damaged[run])
            else:
                st.info("This run has no such figure.")
    st.caption(LEGEND)
    _worst(chosen[0], mine.loc[figure].rename(figure))


def _parts(
    scores: pd.DataFrame, figure: str, chosen: list[str]
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The figure by category in each run that has it; and of each that is damaged, a sentence."""
    parts, damaged = {}, {}
    for run in chosen:
        mine = scores[(scores["run_id"] == run) & (scores["figure"] == figure)]
        for _, row in mine.head(1).iterrows():
            try:
                parts[run] = data.categories(run, row["task"], row)
            except DataError as error:
                damaged[run] = str(error)
    return parts, damaged


def _ends(parts: list[pd.DataFrame]) -> tuple[float, float] | None:
    """What an axis has to reach that all the charts share."""
    if not parts:
        return None
    figures = pd.concat([rows[["value", "ci_low", "ci_high"]] for rows in parts]).stack().dropna()
    return (float(figures.min()), float(figures.max())) if figures.nunique() > 1 else None


def _one_run(rows: pd.DataFrame, score: pd.Series, ends: tuple[float, float] | None) -> None:
    if rows.empty:
        st.info("The samples of this figure have no categories.")
        return
    if len(rows) > CATEGORIES:
        st.caption(f"The worst {CATEGORIES} of {len(rows)} categories.")
    shown = rows.head(CATEGORIES)
    counts = zip(shown["category"], shown["n"], strict=True)
    shown = shown.assign(label=[f"{visible(name)} ({n})" for name, n in counts], mark="")
    unit = score["unit"] if isinstance(score["unit"], str) else ""
    alt = "Values with 95 % intervals by category"
    st.html(intervals(shown, list(shown["label"]), alt, unit, ends))


def _worst(run: str, score: pd.Series) -> None:
    """The worst examples, only when asked for: they may offend."""
    if _direction(score) is None:
        return
    if not st.toggle("Show the worst examples (they may offend)", key="worst", bind="query-params"):
        return
    task = score["task"]
    try:
        ids = worst_documents(data.store(), run, task, score, EXAMPLES)
        rows = sample_rows(data.store(), run, task, score["filter"], ids)
    except DataError as error:
        say("The samples of this figure cannot be read.", str(error))
        return
    for doc_id, (_, sample) in zip(ids, rows.iterrows(), strict=True):
        with st.container(border=True):
            category = f", {visible(sample['category'])}" if pd.notna(sample["category"]) else ""
            st.text(f"Sample {doc_id}{category}")
            text_block(sample["prompt"])
            responses = sample["responses"]
            answers = list(responses) if responses is not None and len(responses) else []
            for answer in answers or [sample["answer"]]:
                st.caption("Answer")
                text_block(answer)
            link("Read it in full", "samples", a=run, task=task, doc=doc_id)


def _directed(kinds: pd.DataFrame) -> list[tuple[str, bool | None]]:
    return [(row["figure"], _direction(row)) for _, row in kinds.iterrows()]


def _is(rows: pd.DataFrame, figure: str) -> bool | None:
    return _direction(rows.loc[figure])


def _direction(score: pd.Series) -> bool | None:
    better = score["higher_is_better"]
    return None if better is None or better != better else bool(better)


def _cell(row: pd.Series) -> str:
    digits = digits_for(abs(row["value"]))
    return number(row["value"], digits) + interval(row["ci_low"], row["ci_high"], digits)


page()
