"""Tasks: what each task asks, with one prompt as the model saw it."""

import pandas as pd
import streamlit as st
from parts import data
from parts.links import link
from parts.pick import pick
from parts.sample import draw_sample
from parts.table import draw_table

from evalkit.results import first_sample, task_overview

LISTED = 5
COLUMNS = {
    "task": "Task",
    "family": "Family",
    "metric": "Primary metric",
    "others": "Other metrics",
    "documents": "Documents",
    "num_fewshot": "Shots",
    "version": "Version",
    "licence": "Licence",
    "runs": "Runs",
    "data_hash": "Data hash",
    "config_hash": "Definition hash",
    "source": "Source",
}


def page() -> None:
    """Draw the page."""
    st.title("Tasks")
    found = data.view()
    tasks = task_overview(found)
    if tasks.empty:
        st.info("No run of this store names a task.")
        return
    _table(tasks)
    names = list(dict.fromkeys(tasks["task"]))
    task = pick("Task", names, "task", names[0])
    row = tasks[tasks["task"] == task].iloc[0]
    sample = first_sample(data.store(), row["run_id"], task)
    st.header("One sample of it")
    if sample is None:
        st.info("The newest run of this task holds no samples.")
        return
    link("Read all samples of this task", "samples", a=row["run_id"], task=task)
    labels = dict(zip(found.runs["run_id"], found.runs["label"], strict=True))
    draw_sample(sample, None, (labels[row["run_id"]], ""))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _table(tasks: pd.DataFrame) -> None:
    others = [
        _listed([name for name in figures if name != metric]) if isinstance(figures, list) else ""
        for figures, metric in zip(tasks["figures"], tasks["metric"], strict=True)
    ]
    table = tasks.assign(others=others)[list(COLUMNS)]
    texts = table.select_dtypes(exclude="number").fillna("")
    draw_table(table.assign(**texts), COLUMNS, "Tasks of the store")
    if tasks["task"].duplicated().any():
        st.caption(
            "A task that stands on several lines was run with other documents, another definition "
            "or another number of shots; the leaderboard never marks one against the other."
        )


page()
