"""Speed: how long requests take, how much a run answers, and what quality costs in time."""

import pandas as pd
import streamlit as st
from parts import data
from parts.charts import curves, scatter
from parts.intervals import intervals
from parts.links import link
from parts.messages import say, warn_of
from parts.pick import pick
from parts.profiles import draw_profiles
from parts.table import draw_table
from parts.text import digits_for, interval, number, visible

from evalkit.results import (
    PERCENTILES,
    QUANTITIES,
    Overview,
    RequestTimes,
    latency_percentiles,
    memory_scores,
    quality_and_speed,
    throughputs,
    timed_on,
    timed_runs,
)
from evalkit.results.difference import TIMED
from evalkit.results.profiles import LATENCIES, PROFILE, profile_latencies

RUNS = 20
POINTS = 300
FEW = 5
MILLI = 1000.0
LEGEND = (
    "Milliseconds, over each run's timed requests, warm-up left out. The 95 % interval assumes "
    "nothing of the distribution; it is missing where the requests are too few for one."
)
BATCHES = (
    "Milliseconds, over each setting's timed requests, warm-up left out. The 95 % interval allows "
    "for batches whose requests are alike; it is missing where they are too few for one."
)
FLOW = (
    "Requests over the seconds that answering took; a run that was resumed or took answers of "
    "another has none. Weights: parameters times the bytes of their type, computed, not measured."
)
FRONT = "◆ no other run is as good in both and better in one; the dashed line joins them."


def page() -> None:
    """Draw the page."""
    st.title("Speed")
    found = data.view()
    runs = timed_runs(found)
    profiled = (found.scores["task"] == PROFILE).any()
    if not runs and not profiled:
        say("No run of this store was timed.", "Time one with: evalkit profile --model CHECKPOINT")
    else:
        times = data.times(tuple(runs[:RUNS]))
        warn_of(times.problems, "Some timings of this store cannot be read and are left out.")
        if len(runs) > RUNS:
            st.caption(f"Of the newest {RUNS} of {len(runs)} timed runs.")
        _machines(found, runs[:RUNS])
        _latency(found, times)
        draw_profiles(found, _labels(found))
        if runs:
            _throughput(found, times)
    _trade(found)


def _labels(found: Overview) -> dict[str, str]:
    runs = found.runs
    return {run: visible(name) for run, name in zip(runs["run_id"], runs["label"], strict=True)}


def _machines(found: Overview, runs: list[str]) -> None:
    """A caution where times of several machines stand side by side."""
    profiles = found.scores.loc[found.scores["task"] == PROFILE, "run_id"].unique()
    machines = timed_on(found, [*runs, *profiles])
    if len(machines) < 2:
        return
    labels = _labels(found)
    said = "; ".join(
        f"{', '.join(labels[run] for run in mine[:FEW])}"
        f"{f' and {len(mine) - FEW} more' if len(mine) > FEW else ''} on {visible(machine)}"
        for machine, mine in machines.items()
    )
    st.text(f"Timed on {len(machines)} machines, whose times do not compare: {said}.")


def _latency(found: Overview, times: RequestTimes) -> None:
    st.header("Latency")
    profiled = (found.scores["task"] == PROFILE).any()
    tasks = [*([PROFILE] if profiled else []), *dict.fromkeys(times.rows["task"])]
    if not tasks:
        st.info("These runs hold no timed requests.")
        return
    with st.container(horizontal=True):
        task = pick("Task", tasks, "task", tasks[0])
        known = LATENCIES if task == PROFILE else QUANTITIES
        quantity = pick("Of", list(known), "of", "first_token_s", known.__getitem__)
        levels = [str(level) for level in PERCENTILES]
        level = pick("Drawn", levels, "percentile", levels[0], lambda text: f"p{text}")
    labels = _labels(found)
    rows = _percentiles(found, times, task, quantity, labels)
    if rows.empty:
        st.info("No request of this task has that time.")
        return
    _percentile_table(rows)
    drawn = rows[rows["percentile"] == int(level)].assign(mark="")
    alt = f"p{level} of {known[quantity]} by run, with 95 % intervals"
    st.html(intervals(drawn, list(drawn["label"]), alt, unit=f"{known[quantity]}, ms"))
    st.caption(BATCHES if task == PROFILE else LEGEND)
    link("Read the timed requests", "samples", a=rows["run_id"].iloc[0], task=task)


def _percentiles(
    found: Overview, times: RequestTimes, task: str, quantity: str, labels: dict[str, str]
) -> pd.DataFrame:
    """Percentiles in milliseconds of the newest runs, with what each line is called."""
    figures = ["value", "ci_low", "ci_high"]
    if task == PROFILE:
        rows = profile_latencies(found, quantity)
        rows = rows[rows["run_id"].isin(list(dict.fromkeys(rows["run_id"]))[:RUNS])]
        names = rows["task"].map(visible) + " · " + rows["run_id"].map(labels)
    else:
        rows = latency_percentiles(times.rows[times.rows["task"] == task], quantity)
        names = rows["run_id"].map(labels)
    return rows.assign(label=names, **{name: rows[name] * MILLI for name in figures})


def _percentile_table(rows: pd.DataFrame) -> None:
    figures = ["value", "ci_low", "ci_high"]
    digits = digits_for(rows["value"].max())
    rows["cell"] = [_cell(*row, digits) for row in rows[figures].to_numpy()]
    wide = rows.pivot_table(
        index=["run_id", "label", "n"], columns="percentile", values="cell", aggfunc="first",
        sort=False,
    ).reset_index()  # fmt: skip
    wide.columns = [f"p{name}" if isinstance(name, int) else name for name in wide.columns]
    titles = {"label": "Run", "n": "Requests"}
    titles |= {f"p{level}": f"p{level}, ms" for level in PERCENTILES}
    draw_table(wide.drop(columns="run_id"), titles, "Latency percentiles")


def _cell(value: float, low: float, high: float, digits: int) -> str:
    return number(value, digits) + interval(low, high, digits)


def _throughput(found: Overview, times: RequestTimes) -> None:
    st.header("Throughput and memory")
    rows = throughputs(found, times.phases)
    if rows.empty:
        st.info("These runs do not say how long answering took.")
        return
    labels = _labels(found)
    memory = memory_scores(found, list(rows["run_id"]))
    rows = rows.assign(label=rows["run_id"].map(labels))
    table = pd.DataFrame(
        {
            "label": rows["label"],
            "requests": [number(rate, 1) for rate in rows["requests_per_s"]],
            "tokens": [_score(found, run, "tokens/s") for run in rows["run_id"]],
            **{
                name: rows[name].astype(object).fillna("")
                for name in ("batch_size", "concurrency", "device", "dtype")
            },
            "weights": [number(size / 1e6, 1) for size in rows["weights_bytes"]],
        }
    )
    for figure, mine in memory.groupby("figure"):
        values = mine.set_index("run_id")["value"]
        named = f"{figure}, {mine['unit'].iloc[0]}"
        table[named] = [number(values.get(run), 1) for run in rows["run_id"]]
    titles = {
        "label": "Run",
        "requests": "Requests/s",
        "tokens": "Tokens/s",
        "batch_size": "Batch",
        "concurrency": "Concurrency",
        "device": "Device",
        "dtype": "Type",
        "weights": "Weights, MB",
    }
    draw_table(table, titles, "Throughput and memory")
    st.caption(FLOW)
    for name in ("batch_size", "concurrency"):
        _against(rows, name)


def _against(rows: pd.DataFrame, name: str) -> None:
    """Throughput over a setting, where the runs differ in it."""
    position = pd.to_numeric(rows[name], errors="coerce")
    points = rows.assign(position=position, value=rows["requests_per_s"]).dropna(
        subset=["position", "value"]
    )
    if points["position"].nunique() < 2:
        return
    points = points.sort_values("position").assign(
        ci_low=float("nan"), ci_high=float("nan"), curve="throughput"
    )
    title = name.replace("_", " ")
    columns = ["position", "value", "ci_low", "ci_high", "curve", "label"]
    st.html(curves(points[columns], f"Throughput by {title}", x=title, unit="requests/s"))


def _score(found: Overview, run: str, unit: str) -> str:
    """A run's first score of a unit, with its interval."""
    mine = found.scores[(found.scores["run_id"] == run) & (found.scores["unit"] == unit)]
    if mine.empty:
        return "–"
    row = mine.iloc[0]
    return _cell(row["value"], row["ci_low"], row["ci_high"], digits_for(row["value"]))


def _trade(found: Overview) -> None:
    """Quality against speed, each run a point."""
    scores = found.scores
    kinds = scores[["figure", "unit", "primary", "higher_is_better"]].drop_duplicates("figure")
    speeds = list(kinds.loc[kinds["unit"].isin(TIMED), "figure"])
    judged = kinds["primary"] & kinds["higher_is_better"].notna() & ~kinds["unit"].isin(TIMED)
    qualities = list(kinds.loc[judged, "figure"])
    if not speeds or not qualities:
        return
    st.header("Quality against speed")
    with st.container(horizontal=True):
        quality = pick("Quality", qualities, "quality", qualities[0])
        speed = pick("Speed", speeds, "speed", speeds[0])
    rows = quality_and_speed(found, quality, speed)
    if rows.empty:
        st.info("No run has both figures.")
        return
    if len(rows) > POINTS:
        st.caption(f"The front, and the newest {POINTS} of {len(rows)} runs that have both.")
        rows = rows[rows["best"] | (rows.index < POINTS)]
    rows = rows.assign(label=rows["run_id"].map(_labels(found)))
    alt = f"{visible(quality)} against {visible(speed)}"
    st.html(scatter(rows, alt, visible(speed), visible(quality)))
    names = ", ".join(rows.loc[rows["best"], "label"].head(10))
    st.text(f"On the front: {names}.")
    st.caption(FRONT)


page()
