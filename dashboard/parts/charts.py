"""Charts with intervals, in colours that colour-blind readers tell apart."""

import altair as alt
import pandas as pd
import streamlit as st
from parts.text import visible

_LIGHT = {"best": "#0072B2", "tied": "#56B4E9", "other": "#8A939E", "worse": "#D55E00"}
_DARK = {"best": "#56B4E9", "tied": "#9AD1F2", "other": "#7C8794", "worse": "#E69F00"}


def palette() -> dict[str, str]:
    """Colours of the theme in force."""
    return _DARK if st.context.theme.type == "dark" else _LIGHT


def intervals(rows: pd.DataFrame, order: list[str], unit: str = "") -> alt.LayerChart:
    """One figure's values as dots on their 95 % intervals, a run a line.

    Args:
        rows: label, value, ci_low, ci_high and mark ("best", "tied", "").
        order: Labels from top to bottom.
        unit: Unit of the value.
    """
    colours = palette()
    shown = rows[["label", "value", "ci_low", "ci_high"]].astype({"label": object})
    shown = shown.assign(standing=rows["mark"].replace("", "other"))
    kinds = ["best", "tied", "other"]
    colour = alt.Color("standing:N", legend=None).scale(
        domain=kinds, range=[colours[kind] for kind in kinds]
    )
    base = alt.Chart(shown).encode(
        y=alt.Y("label:N", sort=order, title=None).axis(
            labelLimit=150, labelFlush=False, ticks=False, domain=False
        ),
        color=colour,
        tooltip=[alt.Tooltip("label:N", title="run")]
        + [alt.Tooltip(f"{name}:Q", format=".4g") for name in ("value", "ci_low", "ci_high")],
    )
    scale = alt.Scale(zero=False, nice=True)
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("ci_low:Q", scale=scale, title=unit or None).axis(
            tickCount=4, grid=True, labelFlush=True, format=".3~g"
        ),
        x2="ci_high:Q",
    )
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("value:Q", scale=scale),
        shape=alt.Shape("standing:N", legend=None).scale(
            domain=kinds, range=["diamond", "circle", "circle"]
        ),
    )
    return alt.layer(lines, dots).properties(
        height=alt.Step(20), padding={"left": 0, "top": 5, "right": 14, "bottom": 0}
    )


def forest(rows: pd.DataFrame) -> alt.LayerChart:
    """Differences on their 95 % intervals around a line at 0, a figure a line.

    Args:
        rows: figure, gain, gain_low and gain_high (positive where B is better), standing; either
            all or none with a better direction.
    """
    colours = palette()
    kinds = {"better": colours["best"], "worse": colours["worse"], "open": colours["other"]}
    shown = rows[["figure", "gain", "gain_low", "gain_high", "standing"]].copy()
    shown["figure"] = [visible(name) for name in shown["figure"]]
    shown["standing"] = shown["standing"].replace(["", "untested"], "open")
    base = alt.Chart(shown).encode(
        y=alt.Y("figure:N", sort=list(shown["figure"]), title=None).axis(
            labelLimit=230, labelFlush=False, ticks=False, domain=False
        ),
        color=alt.Color("standing:N", legend=None).scale(
            domain=list(kinds), range=list(kinds.values())
        ),
        tooltip=["figure:N"]
        + [alt.Tooltip(f"{name}:Q", format="+.4g") for name in ("gain", "gain_low", "gain_high")],
    )
    known = (rows["standing"] != "").all()
    title = "B worse ← 0 → B better" if known else "B lower ← 0 → B higher"
    x = alt.X("gain_low:Q", title=title).axis(tickCount=5, labelFlush=True, format=".3~g")
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(
        color=colours["other"], strokeDash=[4, 3]
    )
    return alt.layer(
        zero.encode(x="zero:Q"),
        base.mark_rule(strokeWidth=2.5).encode(x=x, x2="gain_high:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            x="gain:Q",
            shape=alt.Shape("standing:N", legend=None).scale(
                domain=list(kinds), range=["triangle-right", "triangle-left", "circle"]
            ),
        ),
    ).properties(height=alt.Step(26), padding={"left": 0, "top": 5, "right": 14, "bottom": 0})
