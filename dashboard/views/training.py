"""Training: how a series of checkpoints learned, and where a checkpoint comes from."""

import pandas as pd
import streamlit as st
from parts import data
from parts.cells import heading
from parts.charts import curves
from parts.frame import cards
from parts.links import link
from parts.messages import say
from parts.pick import pick
from parts.table import draw_table
from parts.text import number, visible

from evalkit.errors import EvalkitError
from evalkit.results import (
    LOOKED_AT,
    POSITIONS,
    Overview,
    TrainingSeries,
    datasheet,
    log_curve,
    loss_curve,
    pedigree,
    score_curves,
)

FIELDS = {"field": "Field", "value": "Value"}
CHARTS = 9
TESTED = 6
EVENTS = 10
LOSSES = ("loss", "held_out_loss")
BESIDE = ("learning_rate", "grad_norm", "tokens_per_s")
LOGGED = (
    "From the training's own metrics.parquet: each point is the mean since the one before it, the "
    "band holds eight of ten points around; a ring marks a spike."
)
RECORDED = (
    "The mean loss that each checkpoint recorded; a ring marks a spike. Every step of it is shown "
    "where the training's metrics.parquet lies beside its checkpoints on this machine."
)
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
    """Losses of the trainings' own logs; without its log, those that the checkpoints recorded."""
    st.header("Losses")
    logs = {series.name: _log(series) for series in shown}
    known = {name: log for name, log in logs.items() if log is not None}
    parts = [
        _logged(known[series.name], series.name, along)
        if series.name in known
        else _recorded(found, series, along)
        for series in shown
    ]
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        st.info("Neither the checkpoints of this series nor a log beside them tell a loss.")
        return
    st.html(curves(rows, "Losses of the training", x=POSITIONS[along], unit="nats a token"))
    _events(rows)
    st.caption(LOGGED if known else RECORDED)
    _beside_losses(known, along)


def _log(series: TrainingSeries) -> pd.DataFrame | None:
    try:
        return data.training_log(series)
    except EvalkitError as error:
        say("The log of this training cannot be read.", str(error))
        return None


def _logged(log: pd.DataFrame, name: str, along: str) -> pd.DataFrame:
    """Both losses of a log as curves."""
    parts = []
    for quantity in LOSSES:
        curve = log_curve(log, quantity, along)
        unlike = curve["event"] if quantity == "loss" else ""
        parts.append(
            curve.assign(
                curve=f"{visible(name)}, {LOOKED_AT[quantity]}",
                label=unlike,
                marked=unlike == "spike",
                told=curve["detail"] if quantity == "loss" else "",
            )
        )
    return pd.concat(parts, ignore_index=True).drop(columns=["event", "detail"])


def _recorded(found: Overview, series: TrainingSeries, along: str) -> pd.DataFrame:
    """The loss that each checkpoint recorded as a curve."""
    rows = loss_curve(found, series, along)
    told = [
        f"Loss spike in {row.label}: {number(row.value)} nats at {row.position:,.0f}."
        if row.spike
        else ""
        for row in rows.itertuples()
    ]
    return rows.assign(
        curve=f"{visible(series.name)}, recorded in checkpoints",
        label=[visible(name) for name in rows["label"]],
        ci_low=float("nan"),
        ci_high=float("nan"),
        marked=rows["spike"],
        told=told,
    ).drop(columns=["spike", "run_id"])


def _events(rows: pd.DataFrame) -> None:
    """Spikes and plateaus in words, the first of them."""
    told = rows[rows["told"] != ""]
    several = told["curve"].nunique() > 1
    for row in told.head(EVENTS).itertuples():
        sign = "▲" if row.marked else "▬"
        st.text(visible(f"{sign} {row.told}" + (f" ({row.curve})" if several else "")))
    if len(told) > EVENTS:
        st.caption(f"The first {EVENTS} of {len(told)} events.")


def _beside_losses(logs: dict[str, pd.DataFrame], along: str) -> None:
    """Learning rate, gradient and speed, each in a small chart."""
    found = {}
    for quantity in BESIDE:
        parts = [
            log_curve(log, quantity, along).assign(curve=visible(name))
            for name, log in logs.items()
        ]
        rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        if len(rows):
            found[quantity] = rows.rename(columns={"event": "label"}).drop(columns="detail")
    titled = {LOOKED_AT[quantity].capitalize(): rows for quantity, rows in found.items()}
    if titled:
        st.html(
            cards(
                (title, curves(rows, f"{title} of the training", x=POSITIONS[along]))
                for title, rows in titled.items()
            )
        )


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
    st.html(cards(_curve(figure, rows[rows["figure"] == figure], along) for figure in drawn))
    st.caption(LEGEND)
    mine = rows["figure"].isin(drawn) & (rows["curve"] == visible(shown[0].name))
    _trends(rows[mine])


def _curve(figure: str, rows: pd.DataFrame, along: str) -> tuple[str, str]:
    unit = rows["unit"].dropna()
    return heading(figure, rows), curves(
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
            "task": [f"{curve.task} · {curve.metric}" for curve in tested.curves],
            "reading": [curve.reading for curve in tested.curves],
            "slope": [f"{c.trend.slope:+.3g}" if c.trend else "–" for c in tested.curves],
            "p": [number(curve.trend_p) for curve in tested.curves],
            "n": [curve.trend.n if curve.trend else None for curve in tested.curves],
            "best": [curve.best or "–" for curve in tested.curves],
            "last": [number(c.last.gain) if c.last else "–" for c in tested.curves],
        }
    )
    titles = {
        "task": "Figure",
        "reading": "Trend",
        "slope": "Slope",
        "p": "p (Holm)",
        "n": "Samples",
        "best": "Best checkpoint",
        "last": "Last less best",
    }
    draw_table(table, titles, "Trends of the series")
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
        draw_table(pedigree(run), FIELDS, "Pedigree of the checkpoint")
    with right:
        st.caption("Corpus")
        sheet = datasheet(run)
        if sheet.empty:
            st.info("The checkpoint does not say what it learned from.")
        else:
            draw_table(sheet, FIELDS, "Datasheet of the corpus")
    link("Read its samples", "samples", a=chosen)


page()
