"""Charts with intervals, in colours that colour-blind readers tell apart.

They are Vega-Lite specifications as plain dictionaries: a page of twelve is made in milliseconds.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st
from parts.text import visible

Spec = dict[str, Any]

_LIGHT = {
    "best": "#0072B2",
    "tied": "#56B4E9",
    "other": "#8A939E",
    "worse": "#D55E00",
    "text": "#4a5563",
}
_DARK = {
    "best": "#56B4E9",
    "tied": "#9AD1F2",
    "other": "#7C8794",
    "worse": "#E69F00",
    "text": "#b6c0cb",
}
# Okabe and Ito (2008), without the yellow that is pale on white.
_LINES_LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_LINES_DARK = ["#56B4E9", "#E69F00", "#2EC49A", "#E4A3C8", "#F0E442", "#D98452"]
LEGEND_LINE = 32
DOTTED = 60
"""With more points to a curve, dots would hide it; they still answer to the pointer."""
_PADDING = {"left": 0, "top": 5, "right": 14, "bottom": 5}
_ROWS: Spec = {"labelLimit": 210, "labelFlush": False, "ticks": False, "domain": False}


def palette() -> dict[str, str]:
    """Colours of the theme in force."""
    return _DARK if _is_dark() else _LIGHT


def lines() -> list[str]:
    """Colours of several curves, in the theme in force."""
    return _LINES_DARK if _is_dark() else _LINES_LIGHT


def intervals(
    rows: pd.DataFrame,
    order: list[str],
    alt: str,
    unit: str = "",
    ends: tuple[float, float] | None = None,
) -> None:
    """Draw one figure's values as dots on their 95 % intervals, a label a line.

    Args:
        rows: label, value, ci_low, ci_high and mark ("best", "tied", "").
        order: Labels from top to bottom.
        alt: What a screen reader says of it.
        unit: Unit of the value.
        ends: What the axis has to reach, so that charts side by side share one.
    """
    colours = palette()
    shown = rows[["label", "value", "ci_low", "ci_high"]].astype({"label": object})
    shown = shown.assign(standing=rows["mark"].replace("", "other"))
    kinds = ["best", "tied", "other"]
    axis = {"tickCount": 4, "grid": True, "labelFlush": True, "format": ".3~g"}
    low = _x("ci_low", title=unit or None, axis=axis)
    if ends is not None:
        low["scale"] = {"domain": list(ends), "nice": True, "zero": False}
    spec = {
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": order, "title": None, "axis": _ROWS},
            "color": _standing("color", kinds, [colours[kind] for kind in kinds]),
            "tooltip": _tooltip("label", ".4g", "value", "ci_low", "ci_high"),
        },
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {"x": low, "x2": _end()}},
            _dots(60, "value", "shape", kinds, ["diamond", "circle", "circle"]),
        ],
    }
    _draw(shown, spec, 20, alt)


def forest(rows: pd.DataFrame, alt: str) -> None:
    """Draw differences on their 95 % intervals around a line at 0, a figure a line.

    Args:
        rows: figure, gain, gain_low and gain_high (positive where B is better), standing; either
            all or none with a better direction.
        alt: What a screen reader says of it.
    """
    colours = palette()
    kinds = {"better": colours["best"], "worse": colours["worse"], "open": colours["other"]}
    shown = rows[["gain", "gain_low", "gain_high", "standing"]].copy()
    shown["label"] = [visible(name) for name in rows["figure"]]
    shown["standing"] = shown["standing"].replace(["", "untested"], "open")
    title = "B worse ← 0 → B better" if (rows["standing"] != "").all() else "B lower ← 0 → B higher"
    low = _x("gain_low", title=title, axis={"tickCount": 5, "labelFlush": True, "format": ".3~g"})
    order = list(shown["label"])
    encoding = {
        "y": {
            "field": "label", "type": "nominal", "sort": order, "title": None,
            "axis": {**_ROWS, "labelLimit": 230},
        },
        "color": _standing("color", list(kinds), list(kinds.values())),
        "tooltip": _tooltip("label", "+.4g", "gain", "gain_low", "gain_high"),
    }  # fmt: skip
    marks = [
        {
            "mark": {"type": "rule", "strokeWidth": 2.5},
            "encoding": {**encoding, "x": low, "x2": {"field": "gain_high"}},
        },
        _dots(80, "gain", "shape", list(kinds), ["triangle-right", "triangle-left", "circle"]),
    ]
    marks[1]["encoding"] = {**encoding, **marks[1]["encoding"]}
    _draw(shown, {"layer": [_level(0, "x"), *marks]}, 26, alt)


def curves(
    rows: pd.DataFrame,
    alt: str,
    *,
    x: str,
    unit: str = "",
    level: float | None = None,
    when: bool = False,
) -> None:
    """Draw curves with their bands, a colour and a shape each.

    Args:
        rows: position, value, ci_low and ci_high (NaN where there is no band), curve (its name),
            label (of the point) and, where some points stand out, marked.
        alt: What a screen reader says of it.
        x: Title of the positions.
        unit: Unit of the values.
        level: Where to draw a level line.
        when: Whether positions are times.
    """
    names = list(dict.fromkeys(rows["curve"]))
    colour = {"field": "curve", "type": "nominal", "title": None, "legend": None}
    colour["scale"] = {"domain": names, "range": lines()[: len(names)]}
    if len(names) > 1:
        colour["legend"] = {"orient": "bottom", "columns": 1, "labelLimit": 300}
    kind = "temporal" if when else "quantitative"
    axis = {"labelFlush": True, "grid": False, "labelOverlap": True}
    along: Spec = {"field": "position", "type": kind, "title": x, "axis": axis}
    if when:
        along["axis"] = {**axis, "format": _time_format(rows["position"]), "tickCount": 4}
    else:  # each tick in its own unit: 500 and 1k, not 0.5k
        along["axis"] = {**axis, "labelExpr": "format(datum.value, '~s')", "tickCount": 5}
    up = {"field": "value", "type": "quantitative", "title": unit or None}
    up |= {
        "scale": {"zero": False, "nice": True},
        "axis": {"format": _number_format(rows["value"]), "tickCount": 5},
    }
    tooltip = [
        {"field": "label", "type": "nominal", "title": "point"},
        {"field": "position", "type": kind, "title": x},
        *_numbers(".4g", "value", "ci_low", "ci_high"),
    ]
    band = {"y": {**up, "field": "ci_low"}, "y2": {"field": "ci_high"}}
    dotted = rows["curve"].value_counts().max() <= DOTTED
    marks: list[Spec] = [
        {"mark": {"type": "area", "opacity": 0.18}, "encoding": band},
        {"mark": {"type": "line", "strokeWidth": 2 if dotted else 1.5}, "encoding": {"y": up}},
        {
            "mark": {"type": "point", "filled": True, "size": 36, "opacity": int(dotted)},
            "encoding": {"y": up, "tooltip": tooltip, "shape": {**colour, "scale": _shapes(names)}},
        },
    ]
    if "marked" in rows and rows["marked"].any():
        stands_out = {"type": "point", "size": 220, "strokeWidth": 2, "color": palette()["worse"]}
        transform = [{"filter": "datum.marked"}]
        encoding = {"y": up, "tooltip": tooltip, "color": {"value": palette()["worse"]}}
        marks.append({"mark": stands_out, "transform": transform, "encoding": encoding})
    for mark in marks:
        mark["encoding"] = {"x": along, "color": colour, **mark["encoding"]}
    if level is not None:
        marks.insert(0, _level(level, "y"))
    legend = LEGEND_LINE * len(names) if len(names) > 1 else 0
    _draw(rows, {"layer": marks}, 240 + legend, alt, stepped=False)


def scatter(rows: pd.DataFrame, alt: str, x: str, y: str) -> None:
    """Draw points with both intervals; those that nothing beats in both are marked and joined.

    Args:
        rows: label, x, x_low, x_high, y, y_low, y_high and best (bool).
        alt: What a screen reader says of it.
        x: Title of the x axis.
        y: Title of the y axis.
    """
    colours = palette()
    shown = rows.assign(standing=["best" if best else "other" for best in rows["best"]])
    kinds = ["best", "other"]
    axis = {"format": ".3~g", "tickCount": 6}
    across, up = _x("x", title=x, axis=axis), _x("y", title=y)
    up["axis"] = {"format": ".3~g"}
    tooltip = _tooltip("label", ".4g", "x", "y")
    rules = [
        {
            "mark": {"type": "rule", "opacity": 0.6},
            "encoding": {
                "x": {**across, "field": "x_low"}, "x2": {"field": "x_high"}, "y": up
            },
        },
        {
            "mark": {"type": "rule", "opacity": 0.6},
            "encoding": {"x": across, "y": {**up, "field": "y_low"}, "y2": {"field": "y_high"}},
        },
    ]  # fmt: skip
    front = {
        "mark": {"type": "line", "strokeDash": [4, 3], "color": colours["best"]},
        "transform": [{"filter": "datum.best"}],
        "encoding": {"x": across, "y": up},
    }
    dots = {
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
        "encoding": {
            "x": across, "y": up, "tooltip": tooltip,
            "shape": _standing("shape", kinds, ["diamond", "circle"]),
        },
    }  # fmt: skip
    colour = _standing("color", kinds, [colours[kind] for kind in kinds])
    for mark in (*rules, dots):
        mark["encoding"]["color"] = colour
    _draw(shown, {"layer": [front, *rules, dots]}, 320, alt, stepped=False)


def _draw(rows: pd.DataFrame, spec: Spec, height: int, alt: str, *, stepped: bool = True) -> None:
    colour = "#b6c0cb" if _is_dark() else "#4a5563"
    config = {
        "axis": {"labelColor": colour, "titleColor": colour},
        "legend": {"labelColor": colour, "symbolOpacity": 1},
    }
    spec = {
        "padding": _PADDING, "height": {"step": height} if stepped else height, "config": config,
        **spec,
    }  # fmt: skip
    st.vega_lite_chart(rows, spec, width="stretch", alt=alt)


def _time_format(times: pd.Series) -> str:
    """What tells the ticks of an axis apart."""
    span = times.max() - times.min()
    if span > pd.Timedelta(days=3):
        return "%d %b"
    return "%d %b %H:%M" if span > pd.Timedelta(hours=1) else "%H:%M:%S"


def _number_format(values: pd.Series) -> str:
    """Thousands as 2k; small numbers never as 20m."""
    return ".3~s" if values.abs().max() >= 1000 else ".3~g"


def _x(field: str, title: str | None, axis: Spec | None = None) -> Spec:
    scale = {"zero": False, "nice": True}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def _end() -> Spec:
    return {"field": "ci_high"}


def _dots(size: int, field: str, channel: str, kinds: list[str], range_: list[str]) -> Spec:
    return {
        "mark": {"type": "point", "filled": True, "size": size, "opacity": 1},
        "encoding": {
            "x": {"field": field, "type": "quantitative"},
            channel: _standing(channel, kinds, range_),
        },
    }


def _standing(channel: str, kinds: list[str], range_: list[str]) -> Spec:
    scale = {"domain": kinds, "range": range_}
    return {"field": "standing", "type": "nominal", "legend": None, "scale": scale}


def _shapes(names: Sequence[str]) -> Spec:
    shapes = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
    return {"domain": list(names), "range": shapes[: len(names)]}


def _level(value: float, channel: str) -> Spec:
    mark = {"type": "rule", "strokeDash": [4, 3], "color": palette()["other"], "aria": False}
    colour = {"value": palette()["other"]}
    return {"mark": mark, "encoding": {channel: {"datum": value}, "color": colour}}


def _tooltip(label: str, format_: str, *fields: str) -> list[Spec]:
    return [{"field": label, "type": "nominal", "title": "of"}, *_numbers(format_, *fields)]


def _numbers(format_: str, *fields: str) -> list[Spec]:
    return [{"field": field, "type": "quantitative", "format": format_} for field in fields]


def _is_dark() -> bool:
    return bool(st.context.theme.type == "dark")
