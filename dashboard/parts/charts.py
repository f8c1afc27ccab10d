"""Charts with intervals, in colours that colour-blind readers tell apart."""

import altair as alt
import pandas as pd
import streamlit as st

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
            tickCount=4, grid=True, labelFlush=True
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
