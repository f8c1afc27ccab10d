"""Samples: why a figure is what it is, document by document."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from parts import data
from parts.messages import say
from parts.pick import pick, pick_run
from parts.sample import NORMALISED, draw_sample
from parts.table import draw_table
from parts.text import digits_for, label, number, one_line, visible

from evalkit.errors import DataError
from evalkit.results import Overview, paired_index, sample_rows, select_samples

TITLES = {
    "doc": "No.",
    "asked": "End of the prompt",
    "other": "Answer beside",
    "target": "Right answer",
}
PER_PAGE = 12
OUTCOMES = ["all", "right", "wrong"]
FLIPS = ["flipped", "won", "lost"]
ORDERS = ["document", "worst first", "best first"]
CHANGE = "largest change"
FLIP_MEANING = "▲ won: only the run beside it is right. ▼ lost: only the run is."
FLIP_SIGNS = {"won": "▲ won", "lost": "▼ lost", "": ""}


def page() -> None:
    """Draw the page."""
    st.title("Samples")
    found = data.view()
    score, other = _scores(found)
    if score is None:
        st.info("This run has no scores, so there are no samples to show.")
        return
    index = data.index(score["run_id"], score["task"], score)
    beside = None if other is None else _beside(other)
    if beside is None:
        other = None
    else:
        index = paired_index(index, beside)
    st.caption(_summary(index, paired=other is not None))
    rows = _filtered(index, score, paired=other is not None)
    if rows.empty:
        st.info("No sample fits these choices.")
        if "doc" not in st.query_params:
            return
    else:
        _table(_one_page(rows), score, other)
    _detail(found, index, rows, score, other)


def _beside(other: pd.Series) -> pd.DataFrame | None:
    """Index of the run beside it; its damage costs only its own half of the page."""
    try:
        return data.index(other["run_id"], other["task"], other)
    except DataError as error:
        say("The samples of the run beside it cannot be read, so it is not shown.", str(error))
        return None


def _scores(found: Overview) -> tuple[pd.Series | None, pd.Series | None]:
    """The score looked into, and the same figure of the run beside it, where one is chosen."""
    newest = found.runs["run_id"].iloc[0]
    with st.container(horizontal=True):
        run_id = pick_run("Run", found.runs, "a", newest)
        other_id = pick_run("Beside run", found.runs, "b", "", none="none")
        mine = found.scores[found.scores["run_id"] == run_id]
        tasks = list(dict.fromkeys(mine["task"]))
        if not tasks:
            return None, None
        task = pick("Task", tasks, "task", tasks[0])
        mine = mine[mine["task"] == task].set_index("figure", drop=False)
        default = mine.loc[mine["primary"], "figure"]
        first = str((default if len(default) else mine["figure"]).iloc[0])
        metrics = {row.figure: _metric_name(row) for row in mine.itertuples()}
        figure = pick("Metric", list(metrics), "figure", first, metrics.__getitem__)
    score = mine.loc[figure]
    same = (found.scores["run_id"] == other_id) & (found.scores["figure"] == figure)
    if other_id and not same.any():
        st.info("The run beside it has no such figure, so it is not shown.")
    return score, found.scores[same].iloc[0] if same.any() else None


def _metric_name(score: Any) -> str:
    extraction = "" if score.filter == "none" else f" ({score.filter})"
    return visible(score.metric + extraction)


def _summary(index: pd.DataFrame, *, paired: bool) -> str:
    """Counts in one line."""
    told = [f"{len(index)} samples"]
    if index["right"].notna().any():
        told.append(f"{int(index['right'].sum())} right")
    if paired:
        told.append(f"{int(index['other_doc_id'].notna().sum())} in both runs")
        if index["other_right"].notna().any():
            told.append(f"{int((index['flip'] == 'won').sum())} won")
            told.append(f"{int((index['flip'] == 'lost').sum())} lost")
        changed = index["other_doc_id"].notna() & ~index["same_prompt"]
        if changed.any():
            told.append(f"{int(changed.sum())} with another prompt")
    return ", ".join(told)


def _filtered(index: pd.DataFrame, score: pd.Series, *, paired: bool) -> pd.DataFrame:
    """Samples that fit the search, the outcome and the category, in the order chosen."""
    binary = index["right"].notna().any()
    categories = sorted(index["category"].dropna().unique())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Search", key="text", bind="query-params", placeholder="any text")
        outcomes = (OUTCOMES if binary else OUTCOMES[:1]) + (FLIPS if binary and paired else [])
        outcome = pick("Outcome", outcomes, "outcome", "all") if binary else "all"
        category = ""
        if categories:
            category = pick("Category", ["", *categories], "category", "", _or_all)
        orders = [*ORDERS, CHANGE] if paired else ORDERS
        order = pick("Order", orders, "order", "document")
    _forget_sample((score["figure"], text, outcome, category))
    if text:
        index = index[index["doc_id"].isin(data.containing(score["run_id"], score["task"], text))]
    better = score["higher_is_better"]
    better = None if better is None or better != better else bool(better)
    return select_samples(index, outcome, category or None, order, better)


def _forget_sample(choices: tuple[str, ...]) -> None:
    """Once the choices change, the sample in the URL is no longer the one looked for."""
    if st.session_state.get("sample_choices", choices) != choices:
        st.query_params.pop("doc", None)
    st.session_state["sample_choices"] = choices


def _or_all(name: str) -> str:
    return visible(name or "all")


def _one_page(rows: pd.DataFrame) -> pd.DataFrame:
    pages = -(-len(rows) // PER_PAGE)
    if pages == 1:
        return rows
    number_ = st.number_input(
        f"Page (of {pages})", 1, pages, key="page", bind="query-params", width=160
    )
    return rows.iloc[(number_ - 1) * PER_PAGE : number_ * PER_PAGE]


def _table(rows: pd.DataFrame, score: pd.Series, other: pd.Series | None) -> None:
    """The page's samples; a click on a row shows it in full below."""
    ids = [int(doc_id) for doc_id in rows["doc_id"]]
    full = sample_rows(data.store(), score["run_id"], score["task"], score["filter"], ids)
    digits = digits_for(rows["value"].abs().max())
    table = pd.DataFrame(
        {
            "doc": ids,
            "result": [_result(*row, digits) for row in rows[["right", "value"]].to_numpy()],
            "asked": [one_line(prompt[-160:]) for prompt in full["prompt"].fillna("")],
            "answer": full["answer"].map(one_line),
            "target": full["target"].map(one_line),
        }
    )
    if other is not None:
        both = rows[["other_right", "other_value"]].to_numpy()
        table.insert(2, "beside", [_result(*row, digits) for row in both])
        if rows["right"].notna().any():
            table.insert(3, "flip", [FLIP_SIGNS[flip] for flip in rows["flip"]])
        table.insert(table.columns.get_loc("answer") + 1, "other", _other_answers(rows, other))
    if rows["category"].notna().any():
        table["category"] = rows["category"].fillna("").to_numpy()
    table = table.drop(
        columns=[name for name in ("answer", "other") if name in table and not table[name].any()]
    )
    titles = {name: name.capitalize() for name in table} | TITLES
    key = f"rows:{score['run_id']}:{score['figure']}:{ids[0]}"
    names = list(map(str, ids))
    draw_table(
        table,
        titles,
        "Samples",
        ids=names,
        tick="one",
        ticked=[st.query_params.get("doc", names[0])],
        on_tick=partial(_show, key, score),
        key=key,
    )
    if "flip" in table:
        st.caption(FLIP_MEANING)
    if score["metric"] == "acc_norm":
        st.caption(NORMALISED)


def _show(key: str, score: pd.Series) -> None:
    """Have the link name the sample that was ticked, and whose it is."""
    (doc_id,) = st.session_state[key]["ticked"]
    st.query_params.update(
        a=score["run_id"], task=score["task"], figure=score["figure"], doc=doc_id
    )


def _other_answers(rows: pd.DataFrame, other: pd.Series) -> list[str]:
    """What the run beside it answered to the documents of these rows, "" where it lacks them."""
    ids = [int(doc_id) for doc_id in rows["other_doc_id"].dropna()]
    full = sample_rows(data.store(), other["run_id"], other["task"], other["filter"], ids)
    answers = dict(zip(full["doc_id"], full["answer"], strict=True))
    return [one_line(answers.get(doc_id)) for doc_id in rows["other_doc_id"]]


def _result(right: object, value: float, digits: int) -> str:
    if right is pd.NA or right is None:
        return number(value, digits)
    return "✓" if right else "✗"


def _detail(
    found: Overview,
    index: pd.DataFrame,
    rows: pd.DataFrame,
    score: pd.Series,
    other: pd.Series | None,
) -> None:
    """The sample that the URL names, else the first of the table."""
    known = set(index["doc_id"])
    asked = st.query_params.get("doc", "")
    doc_id = int(asked) if asked.isdigit() else None
    if doc_id not in known:
        if asked:
            st.info("This task has no sample of that number; the first one is shown.")
        doc_id = int((rows if len(rows) else index)["doc_id"].iloc[0]) if len(index) else None
    if doc_id is None:
        return
    row = index[index["doc_id"] == doc_id].iloc[0]
    task, store = score["task"], data.store()
    sample = sample_rows(store, score["run_id"], task, score["filter"], [doc_id]).iloc[0]
    beside = None
    if other is not None and pd.notna(row["other_doc_id"]):
        ids = [int(row["other_doc_id"])]
        beside = sample_rows(store, other["run_id"], task, other["filter"], ids).iloc[0]
    labels = dict(zip(found.runs["run_id"], found.runs["label"], strict=True))
    st.header(f"Sample {doc_id}")
    if pd.notna(row["category"]):
        st.caption(f"Category {label(row['category'])}")
    if beside is not None and not row["same_prompt"]:
        st.caption("The two runs were asked with different prompts; run A's is shown.")
    names = (labels[score["run_id"]], "" if other is None else labels[other["run_id"]])
    draw_sample(sample, beside, names)


page()
