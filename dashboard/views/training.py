"""Training: how a series of checkpoints learned, and where a checkpoint comes from."""

import pandas as pd
import streamlit as st
from parts import data
from parts.charts import curves
from parts.links import link
from parts.messages import say
from parts.pick import pick
from parts.text import number, visible

from evalkit.errors import EvalkitError
from evalkit.results import (
    POSITIONS,
    Overview,
    TrainingSeries,
    datasheet,
    loss_curve,
    pedigree,
    score_curves,
)

CHARTS = 9
PER_LINE = 3
TESTED = 6
LEGEND = (
    "Each task's primary figure with the 95 % interval of each checkpoint. Values measured on "
    "other documents or another definition of the task than most of the series are left out."
)
TREND_LEGEND = (
    "The slope is per {unit}, tested once over the whole series on the samples that all its runs "
    "share, p corrected (Holm) for the tasks shown. The last checkpoint is compared with the best, "
    "sample by sample."
)


def page() -> None:
    """Draw the page."""
    st.title("Training")
    found = data.view()
    known = {series.key: series for series in data.trainings()}
    if not known:
        say(
            "No run of this store knows the training step of its checkpoint.",
            "Checkpoints that evalkit trained know theirs.",
        )
        return
    first = next(iter(known))
    names = {key: visible(series.name) for key, series in known.items()}
    with st.container(horizontal=True):
        series = known[pick("Training", list(known), "series", first, names.__getitem__)]
        others = ["", *(key for key in known if key != series.key)]
        beside = pick("Beside", others, "beside", "", lambda key: names.get(key, "none"))
        along = pick("Over", list(POSITIONS), "over", "step", POSITIONS.__getitem__)
    shown = [series, known[beside]] if beside else [series]
    _losses(found, shown, along)
    _scores(found, shown, along)
    _checkpoint(found, series)


def _losses(found: Overview, shown: list[TrainingSeries], along: str) -> None:
    st.header("Training loss")
    parts = [
        loss_curve(found, series, along).assign(curve=visible(series.name)) for series in shown
    ]
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        st.info("The checkpoints of this series recorded no loss.")
        return
    rows = rows.assign(ci_low=float("nan"), ci_high=float("nan"), marked=rows["spike"])
    rows["label"] = [visible(name) for name in rows["label"]]
    curves(rows, "Training loss by checkpoint", x=POSITIONS[along], unit="nats a token")
    for row in rows[rows["marked"]].itertuples():
        st.text(
            f"▲ Loss spike in {row.label}: {number(row.value)} nats at {row.position:,.0f} "
            f"({row.curve})."
        )
    st.caption("Mean loss that each checkpoint recorded; a ring marks a spike.")


def _scores(found: Overview, shown: list[TrainingSeries], along: str) -> None:
    st.header("Scores")
    parts = [
        score_curves(found, series, along).assign(curve=visible(series.name)) for series in shown
    ]
    rows = pd.concat(parts, ignore_index=True)
    figures = list(dict.fromkeys(rows["figure"]))
    if not figures:
        st.info("The checkpoints of this series have no scores.")
        return
    chosen = st.multiselect(
        "Figures", figures, key="curves", bind="query-params", format_func=visible,
        placeholder=f"the first {min(CHARTS, len(figures))}",
    )  # fmt: skip
    drawn = chosen or figures[:CHARTS]
    rows["label"] = [visible(name) for name in rows["label"]]
    for start in range(0, len(drawn), PER_LINE):
        line = drawn[start : start + PER_LINE]
        for figure, place in zip(line, st.columns(PER_LINE), strict=False):
            with place.container(border=True):
                _curve(figure, rows[rows["figure"] == figure], along)
    st.caption(LEGEND)
    mine = rows["figure"].isin(drawn) & (rows["curve"] == visible(shown[0].name))
    _trends(rows[mine])


def _curve(figure: str, rows: pd.DataFrame, along: str) -> None:
    better = rows["higher_is_better"].dropna()
    arrow = "" if better.empty else " ↑" if better.iloc[0] else " ↓"
    st.text(visible(figure) + arrow)
    unit = rows["unit"].dropna()
    curves(
        rows.drop(columns=["higher_is_better"]),
        f"{visible(figure)} by checkpoint",
        x=POSITIONS[along],
        unit=unit.iloc[0] if len(unit) else "",
    )


def _trends(rows: pd.DataFrame) -> None:
    """One test a task, made when asked for: it reads the samples of every run.

    Tasks that other runs measured than those of the first task are named as left out.
    """
    tasks = tuple(dict.fromkeys(rows["task"]))[:TESTED]
    if not tasks:
        return
    told = f"of the first {TESTED} figures shown" if rows["task"].nunique() > TESTED else ""
    if not st.toggle(f"Test the trend {told}".strip(), key="trend", bind="query-params"):
        return
    try:
        tested = data.trends(tuple(rows.loc[rows["task"] == tasks[0], "run_id"]), tasks)
    except EvalkitError as error:
        say("These trends cannot be tested.", str(error))
        return
    table = pd.DataFrame(
        {
            "task": [visible(f"{curve.task} · {curve.metric}") for curve in tested.curves],
            "reading": [visible(curve.reading) for curve in tested.curves],
            "slope": [f"{c.trend.slope:+.3g}" if c.trend else "–" for c in tested.curves],
            "p": [number(curve.trend_p) for curve in tested.curves],
            "n": [curve.trend.n if curve.trend else None for curve in tested.curves],
            "best": [visible(curve.best or "–") for curve in tested.curves],
            "last": [number(c.last.gain) if c.last else "–" for c in tested.curves],
        }
    )
    text = st.column_config.TextColumn
    config = {
        "task": text("Figure", pinned=True, width=210),
        "reading": text("Trend", width=180),
        "slope": text("Slope", width=90),
        "p": text("p (Holm)", width=80),
        "n": st.column_config.NumberColumn("Samples", width=80),
        "best": text("Best checkpoint", width=180),
        "last": text("Last less best", width=110),
    }
    st.dataframe(table, hide_index=True, column_config=config, alt="Trends of the series")
    unit = "training step" if tested.by_step else "place in the series"
    st.caption(TREND_LEGEND.format(unit=unit))
    for note in tested.notes:
        st.text(visible(note))


def _checkpoint(found: Overview, series: TrainingSeries) -> None:
    """Pedigree and datasheet of one checkpoint, the last by default."""
    st.header("Pedigree of a checkpoint")
    names = {run: visible(found.manifests[run].name) for run in series.runs}
    chosen = pick(
        "Checkpoint", list(reversed(names)), "checkpoint", series.runs[-1], names.__getitem__
    )
    run = found.manifests[chosen]
    parent = (run.model.training or {}).get("parent")
    st.text(f"Trained from {visible(parent)}." if parent else "Trained from random weights.")
    left, right = st.columns(2)
    with left:
        st.caption("Checkpoint and recipe")
        _fields(pedigree(run), "Pedigree of the checkpoint")
    with right:
        st.caption("Corpus")
        sheet = datasheet(run)
        if sheet.empty:
            st.info("The checkpoint does not say what it learned from.")
        else:
            _fields(sheet, "Datasheet of the corpus")
    link("Read its samples", "samples", a=chosen)


def _fields(rows: pd.DataFrame, alt: str) -> None:
    for column in rows:
        rows[column] = [visible(cell) for cell in rows[column]]
    config = {
        "field": st.column_config.TextColumn("Field", width=190, pinned=True),
        "value": st.column_config.TextColumn("Value"),
    }
    st.dataframe(rows, hide_index=True, column_config=config, alt=alt)


page()
