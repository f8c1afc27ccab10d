"""Values on their intervals, a line each."""

import math
from collections.abc import Sequence
from html import escape

import pandas as pd
from parts.colours import DIAMOND, LEFT, RIGHT, ROUND, palette
from parts.frame import GRID, Axis, bar, below, number_axis, width_of
from parts.text import visible

from evalkit.results.svg import Mark

_ROW, _DOT, _ROOM = 20, 10, 14
_WIDEST, _TICKS = 210, 5
_SHAPES = {"best": DIAMOND, "better": RIGHT, "worse": LEFT}
_COLOURS = {"best": "best", "tied": "tied", "better": "best", "worse": "worse"}


def intervals(
    rows: pd.DataFrame,
    order: list[str],
    alt: str,
    unit: str = "",
    ends: tuple[float, float] | None = None,
) -> str:
    """A plot of one figure's values as dots on their 95 % intervals, a label a line.

    Args:
        rows: label, value, ci_low, ci_high and mark ("best", "tied", "").
        order: Labels from top to bottom.
        alt: What a screen reader says of it.
        unit: Unit of the value.
        ends: What the axis has to reach, so that charts side by side share one.
    """
    place = {label: number for number, label in enumerate(order)}
    marks = [
        Mark(row.label, row.value, row.ci_low, row.ci_high, row.mark)
        for row in sorted(rows.itertuples(), key=lambda row: place[row.label])
    ]
    return _picture(marks, alt, unit, ends or ())


def forest(rows: pd.DataFrame, alt: str) -> str:
    """A plot of differences on their 95 % intervals around a line at 0, a figure a line.

    Args:
        rows: figure, gain, gain_low and gain_high (positive where B is better), standing; either
            all or none with a better direction.
        alt: What a screen reader says of it.
    """
    marks = [
        Mark(visible(row.figure), row.gain, row.gain_low, row.gain_high, row.standing)
        for row in rows.itertuples()
    ]
    title = "B worse ← 0 → B better" if (rows["standing"] != "").all() else "B lower ← 0 → B higher"
    return _picture(marks, alt, title, (0.0,), zero=True)


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _picture(
    marks: Sequence[Mark], alt: str, title: str, ends: Sequence[float], zero: bool = False
) -> str:
    """The marks under one axis, which reaches the ends too."""
    colours = palette()
    shown = [end for mark in marks for end in (mark.value, mark.low, mark.high) if _is_known(end)]
    labels = min(_WIDEST, width_of(mark.label for mark in marks))
    axis = number_axis([*shown, *ends], title, _TICKS if labels < _WIDEST / 2 else _TICKS - 2)
    sides = f"margin: 0 {_ROOM}px 0 {labels + _ROOM:.0f}px"
    upright = "top: 0; bottom: 0; width: 1px"
    grid = "".join(bar(f"left: {axis.at(tick)}%; {upright}", GRID) for tick, _ in axis.ticks)
    grid += bar(f"left: {axis.at(0)}%; {upright}", colours["other"]) if zero else ""
    lines = "".join(
        _line(mark, axis, labels, colours[_COLOURS.get(mark.kind, "other")]) for mark in marks
    )
    named = (
        f'<div style="{sides}; text-align: center">{escape(visible(title))}</div>' if title else ""
    )
    return (
        f'<div role="img" aria-label="{escape(visible(alt))}" style="font-size: 0.75rem; '
        f'line-height: 1.2; color: {colours["text"]}"><div style="position: relative">'
        f'<div style="position: absolute; inset: 0; {sides}">{grid}</div>{lines}</div>'
        f'<div style="position: relative; {sides}; height: 1.3rem">{below(axis)}</div>{named}</div>'
    )


def _line(mark: Mark, axis: Axis, labels: float, colour: str) -> str:
    """A label and its mark; what the label cut off, and the figures, answer to the pointer."""
    told, whisker, point = f"{mark.label}: undefined", "", ""
    if _is_known(mark.value):
        told = f"{mark.label}: {mark.value:.4g}"
        place = f"left: calc({axis.at(mark.value)}% - {_DOT / 2:g}px); top: {(_ROW - _DOT) / 2:g}px"
        shape = _SHAPES.get(mark.kind, ROUND)
        point = bar(f"{place}; width: {_DOT}px; height: {_DOT}px; {shape}", colour)
    if _is_known(mark.low) and _is_known(mark.high):
        told += f" [{mark.low:.4g}, {mark.high:.4g}]"
        ends = f"left: {axis.at(mark.low)}%; right: {100 - axis.at(mark.high):g}%"
        whisker = bar(f"{ends}; top: {_ROW / 2 - 1:g}px; height: 2px", colour)
    cut = "overflow: hidden; text-overflow: ellipsis; white-space: nowrap; text-align: right"
    return (
        f'<div title="{escape(told)}" style="display: flex; height: {_ROW}px; '
        f'line-height: {_ROW}px"><div style="width: {labels:.0f}px; flex: none; {cut}">'
        f'{escape(mark.label)}</div><div style="position: relative; flex: 1; '
        f'margin: 0 {_ROOM}px">{whisker}{point}</div></div>'
    )
