"""Curves and points with their bands and intervals."""

from html import escape
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from parts.colours import DIAMOND, ROUND, SHAPES, lines, palette
from parts.frame import Axis, bar, dot, drawing, frame, nanoseconds, number_axis, time_axis

DOTTED = 60
"""With more points to a curve, dots would hide it; they still answer to the pointer."""
_DOT, _RING, _HEIGHT, _TALL = 7, 15, 220, 320


def curves(
    rows: pd.DataFrame,
    alt: str,
    *,
    x: str,
    unit: str = "",
    level: float | None = None,
    when: bool = False,
) -> str:
    """A plot of curves with their bands, a colour and a shape each.

    Args:
        rows: position, value, ci_low and ci_high (NaN where there is no band), curve (its name),
            label (of the point) and, where some points stand out, marked.
        alt: What a screen reader says of it.
        x: Title of the positions.
        unit: Unit of the values.
        level: Where to draw a level line.
        when: Whether positions are times.
    """
    across = time_axis(rows["position"], x) if when else number_axis(rows["position"], x)
    rows = rows.assign(at=nanoseconds(rows["position"]) if when else rows["position"])
    ends = rows[["value", "ci_low", "ci_high"]].to_numpy(dtype=float).ravel()
    up = number_axis([*ends[np.isfinite(ends)], *([] if level is None else [level])], unit)
    names = list(dict.fromkeys(rows["curve"]))
    looks = dict(zip(names, cycle(zip(lines(), SHAPES, strict=True)), strict=False))
    paths = "".join(
        _curve(mine, across, up, looks[name][0]) for name, mine in rows.groupby("curve", sort=False)
    )
    inner = drawing(paths) + _dots(rows, across, up, looks, when)
    if level is not None:
        line = f"left: 0; right: 0; bottom: {up.at(level)}%; height: 1px"
        inner = bar(line, palette()["other"]) + inner
    return frame(inner, across, up, _HEIGHT, alt, _legend(looks) if len(names) > 1 else "")


def _curve(rows: pd.DataFrame, x: Axis, y: Axis, colour: str) -> str:
    """A line through the points in order of their places, with its band."""
    rows = rows.sort_values("at", kind="stable")
    places = [x.at(at) for at in rows["at"]]
    line = _joined(places, [y.at(value) for value in rows["value"]])
    banded = rows["ci_low"].notna().to_numpy() & rows["ci_high"].notna().to_numpy()
    band = ""
    if banded.sum() > 1:
        with_band, along = rows[banded], [x.at(at) for at in rows.loc[banded, "at"]]
        low, high = ([y.at(v) for v in with_band[end]] for end in ("ci_low", "ci_high"))
        around = _joined(along + along[::-1], low + high[::-1])
        band = f'<path d="{around}Z" fill="{colour}" fill-opacity="0.18"/>'
    stroke = f'stroke="{colour}" stroke-width="2" vector-effect="non-scaling-stroke"'
    return f'{band}<path d="{line}" fill="none" {stroke}/>'


def _joined(across: list[float], up: list[float]) -> str:
    """A path through places, broken where one is undefined."""
    parts, start = [], "M"
    for left, bottom in zip(across, up, strict=True):
        if np.isfinite(bottom):
            parts.append(f"{start}{left:g} {100 - bottom:g}")
        start = "L" if np.isfinite(bottom) else "M"
    return "".join(parts)


def _dots(
    rows: pd.DataFrame, x: Axis, y: Axis, looks: dict[str, tuple[str, str]], when: bool
) -> str:
    """The points, each with what it is; of many only those that stand out are seen."""
    seen = rows["curve"].value_counts().max() <= DOTTED
    rings = rows["marked"].to_numpy() if "marked" in rows else np.zeros(len(rows), dtype=bool)
    ring = f"border: 2px solid {palette()['worse']}; {ROUND}"
    found = []
    for row, is_marked in zip(rows.itertuples(), rings, strict=True):
        if not np.isfinite(row.value):
            continue
        place = f"{row.position:%d %b %Y %H:%M}" if when else f"{row.position:,.6g}"
        told = "\n".join(filter(None, (row.label, f"{place}: {row.value:.4g}{_band(row)}")))
        colour, shape = looks[row.curve]
        at = x.at(row.at), y.at(row.value)
        found.append(dot(*at, _DOT, f"background: {colour}; {shape}" if seen else "", told))
        if is_marked:
            found.append(dot(*at, _RING, ring, told))
    return "".join(found)


def _band(row: Any) -> str:
    return f" [{row.ci_low:.4g}, {row.ci_high:.4g}]" if pd.notna(row.ci_low) else ""


def _legend(looks: dict[str, tuple[str, str]]) -> str:
    swatch = "display: inline-block; width: 9px; height: 9px; margin-right: 6px"
    return "".join(
        f'<div style="padding-top: 4px"><i style="{swatch}; background: {colour}; {shape}"></i>'
        f"{escape(name)}</div>"
        for name, (colour, shape) in looks.items()
    )


def scatter(rows: pd.DataFrame, alt: str, x: str, y: str) -> str:
    """A plot of points with both intervals; those that nothing beats in both are marked and joined.

    Args:
        rows: label, x, x_low, x_high, y, y_low, y_high and best (bool).
        alt: What a screen reader says of it.
        x: Title of the x axis.
        y: Title of the y axis.
    """
    colours = palette()
    across, up = (
        number_axis(rows[[name, f"{name}_low", f"{name}_high"]].stack(), title)
        for name, title in (("x", x), ("y", y))
    )
    front = rows[rows["best"]].sort_values("x")
    line = _joined([across.at(v) for v in front["x"]], [up.at(v) for v in front["y"]])
    dashed = 'stroke-width="1.5" stroke-dasharray="4 3" vector-effect="non-scaling-stroke"'
    inner = drawing(f'<path d="{line}" fill="none" stroke="{colours["best"]}" {dashed}/>')
    for row in rows.itertuples():
        colour = colours["best" if row.best else "other"]
        left, bottom = across.at(row.x), up.at(row.y)
        if pd.notna(row.x_low):
            ends = f"left: {across.at(row.x_low)}%; right: {100 - across.at(row.x_high):g}%"
            inner += bar(f"{ends}; bottom: {bottom}%; height: 1px; opacity: 0.6", colour)
        if pd.notna(row.y_low):
            ends = f"bottom: {up.at(row.y_low)}%; top: {100 - up.at(row.y_high):g}%"
            inner += bar(f"{ends}; left: {left}%; width: 1px; opacity: 0.6", colour)
        look = f"background: {colour}; {DIAMOND if row.best else ROUND}"
        inner += dot(left, bottom, 10, look, f"{row.label}\n{row.x:.4g}, {row.y:.4g}")
    return frame(inner, across, up, _TALL, alt)
