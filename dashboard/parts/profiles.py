"""What `evalkit profile` measured, drawn: rates against batch size, machine and memory."""

import pandas as pd
import streamlit as st
from parts.charts import curves
from parts.pick import pick
from parts.table import draw_table
from parts.text import digits_for, interval, number, visible

from evalkit.results import Overview
from evalkit.results.profiles import LOADS, RATES, profile_machine, profile_rates

CURVES = 6
MACHINE = {
    "load_s": ("Load, s", 1.0),
    "peak_memory_bytes": ("Peak memory, MB", 1e6),
    "peak_device_memory_bytes": ("Peak device memory, MB", 1e6),
    "cache_bytes_per_token": ("Cache a token, kB", 1e3),
    "energy_j": ("Energy, J", 1.0),
    "matmul_gflop_per_s": ("Machine, GFLOP/s", 1.0),
    "copy_gb_per_s": ("Machine, GB/s", 1.0),
    "noise": ("Noise", 1.0),
}
LEGEND = (
    "Totals over all batches after a warm-up, with 95 % intervals. Utilisation is the share of the "
    "machine's own best matrix product and copy in memory, measured beside; noise is the median "
    "distance of a batch's time from the median, as a share of it, of the noisiest setting."
)


def draw_profiles(found: Overview, labels: dict[str, str]) -> None:
    """Rates of every profile of the store against batch size, then all figures as tables."""
    rates = profile_rates(found)
    if rates.empty:
        return
    st.header("Throughput by setting")
    known = [metric for metric in RATES if (rates["metric"] == metric).any()]
    metric = pick("Rate", known, "rate", known[0], RATES.__getitem__)
    for load, mine in rates[rates["metric"] == metric].groupby("load"):
        if mine["size"].nunique() > 1:
            _curves(mine, RATES[metric], LOADS[str(load)], labels)
    _settings(rates, known, labels)
    _machine(profile_machine(found), labels)
    st.caption(LEGEND)


def _curves(rates: pd.DataFrame, rate: str, load: str, labels: dict[str, str]) -> None:
    lengths = [f"{size:.0f}-token prompts" for size in rates["prompt_tokens"]]
    names = rates["run_id"].map(labels)
    rows = rates.assign(
        curve=[f"{name}, {length}" for name, length in zip(names, lengths, strict=True)],
        label=rates["setting"].map(visible),
        position=rates["size"],
    )
    shown = list(dict.fromkeys(rows["curve"]))[:CURVES]
    if rows["curve"].nunique() > CURVES:
        st.caption(f"The first {CURVES} curves; the table has all.")
    rows = rows[rows["curve"].isin(shown)].sort_values("position", kind="stable")
    columns = ["position", "value", "ci_low", "ci_high", "curve", "label"]
    st.html(curves(rows[columns], f"{rate} by {load}", x=load, unit=rate))


def _settings(rates: pd.DataFrame, known: list[str], labels: dict[str, str]) -> None:
    figures = rates[["value", "ci_low", "ci_high"]].to_numpy()
    cells = [
        number(value, digits_for(value)) + interval(low, high, digits_for(value))
        for value, low, high in figures
    ]
    wide = rates.assign(cell=cells).pivot_table(
        index=["run_id", "setting"], columns="metric", values="cell", aggfunc="first", sort=False
    )
    table = wide[known].fillna(number(None)).reset_index()
    table.insert(0, "label", table.pop("run_id").map(labels))
    titles = {"label": "Run", "setting": "Setting"} | {metric: _title(metric) for metric in known}
    draw_table(table, titles, "Rates of each setting")


def _title(metric: str) -> str:
    return RATES[metric][0].upper() + RATES[metric][1:]


def _machine(rows: pd.DataFrame, labels: dict[str, str]) -> None:
    table = pd.DataFrame({"label": [labels[run] for run in dict.fromkeys(rows["run_id"])]})
    for metric, (title, scale) in MACHINE.items():
        mine = rows[rows["metric"] == metric].drop_duplicates("run_id").set_index("run_id")
        if mine["value"].notna().any():
            values = mine["value"].reindex(dict.fromkeys(rows["run_id"])) / scale
            table[title] = [number(value, digits_for(value)) for value in values]
    draw_table(table, {"label": "Run"}, "Load, memory and machine")
