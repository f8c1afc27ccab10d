"""The frame of a plot as HTML: axes around an area whose places are shares of it, in percent.

A page of nine such plots stands in the browser in a tenth of a second. A library of charts takes it
half a second to load and a tenth or two for each chart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import numpy as np
import pandas as pd
from parts.colours import palette
from parts.text import visible

from evalkit.results.svg import axis_span, axis_ticks

GRID = "rgba(128, 140, 150, 0.25)"
_LETTER = 6.4  # pixels
_TIMES = 3
_ALONE = pd.Timedelta(hours=1)
_FORMS = (
    (pd.Timedelta(days=300), "%b %Y"),
    (pd.Timedelta(days=_TIMES), "%d %b"),
    (pd.Timedelta(hours=1), "%d %b %H:%M"),
    (-_ALONE, "%H:%M:%S"),
)
_CARD = "border: 1px solid rgba(128, 140, 150, 0.35); border-radius: 6px; padding: 1rem"
_TITLE = "font-size: 0.9rem; padding-bottom: 8px; overflow-wrap: anywhere"
_COLUMNS = "repeat(auto-fill, minmax(min(100%, 20rem), 1fr))"
_SIDE_BY_SIDE = f"display: grid; gap: 1rem; grid-template-columns: {_COLUMNS}"
_SIZES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plot.

    Attributes:
        ticks: Place and text of each.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str = ""

    def at(self, value: float) -> float:
        """Where a value lies, in percent from the low end."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


def number_axis(values: Iterable[float], title: str = "", most: int = 4) -> Axis:
    """An axis of round numbers, of which it has at most one more than `most`, that holds values."""
    low, high = axis_span([float(value) for value in values])
    return Axis(low, high, [(tick, short(tick)) for tick in axis_ticks(low, high, most)], title)


def time_axis(times: pd.Series, title: str = "") -> Axis:
    """An axis of moments that holds the times, which stand on it in nanoseconds."""
    moments = pd.to_datetime(times, utc=True)
    if moments.nunique() == 1:
        moments = pd.concat([moments - _ALONE, moments + _ALONE])
    span = moments.max() - moments.min()
    form = next(form for least, form in _FORMS if span > least)
    low, high = axis_span(nanoseconds(moments).tolist())
    places = np.linspace(low, high, 2 * _TIMES + 1)[1::2]
    return Axis(low, high, [(p, pd.Timestamp(int(p)).strftime(form)) for p in places], title)


def nanoseconds(times: pd.Series) -> pd.Series:
    """Moments as numbers."""
    return pd.to_datetime(times, utc=True).astype("datetime64[ns, UTC]").astype("int64")


def short(value: float) -> str:
    """A round number for a tick, in full: 500, 1.5k, 112.5k."""
    for size, letter in _SIZES:
        if abs(value) >= size:
            return f"{value / size:.10g}{letter}"
    return f"{value:.10g}"


def frame(inner: str, x: Axis, y: Axis, height: int, alt: str, legend: str = "") -> str:
    """A plot: HTML of ours, in which every text is escaped.

    Args:
        inner: What lies in the area, placed in percent.
        x: From left to right.
        y: From bottom to top; its title stands over the plot.
        height: Of the area, in pixels.
        alt: What a screen reader says of it.
        legend: HTML under the plot.
    """
    labels = width_of(text for _, text in y.ticks)
    sides = f"margin: 0 14px 0 {labels:.0f}px; position: relative"
    grid = "".join(
        bar(f"left: 0; right: 0; bottom: {y.at(v)}%; height: 1px", GRID) for v, _ in y.ticks
    )
    beside = "".join(
        f'<span style="position: absolute; right: 100%; bottom: {y.at(value)}%; '
        f'transform: translateY(50%); padding-right: 6px">{escape(text)}</span>'
        for value, text in y.ticks
    )
    over = f'<div style="padding-bottom: 6px">{escape(visible(y.title))}</div>' if y.title else ""
    under = f'<div style="text-align: center">{escape(visible(x.title))}</div>' if x.title else ""
    return (
        f'<div role="img" aria-label="{escape(visible(alt))}" style="font-size: 0.75rem; '
        f'line-height: 1.2; color: {palette()["text"]}; padding-top: 4px">{over}'
        f'<div style="{sides}; height: {height}px">{grid}{beside}{inner}</div>'
        f'<div style="{sides}; height: 1.4rem">{below(x)}</div>{under}{legend}</div>'
    )


def cards(pictures: Iterable[tuple[str, str]]) -> str:
    """Plots side by side, as many as the page is wide, each in a box under its title.

    One element of the page, whatever their number: each takes the browser time of its own.
    """
    boxes = ""
    for title, picture in pictures:
        named = f'<div style="{_TITLE}">{escape(visible(title))}</div>' if title else ""
        boxes += f'<div style="{_CARD}">{named}{picture}</div>'
    return f'<div style="{_SIDE_BY_SIDE}">{boxes}</div>'


def width_of(labels: Iterable[str]) -> float:
    """Pixels that labels take beside a plot."""
    return _LETTER * max(map(len, labels), default=0) + 8


def below(axis: Axis) -> str:
    """The ticks' texts under a plot."""
    return "".join(
        f'<span style="position: absolute; left: {axis.at(value)}%; top: 3px; white-space: nowrap; '
        f'transform: translateX(-50%)">{escape(text)}</span>'
        for value, text in axis.ticks
    )


def bar(place: str, colour: str) -> str:
    """A filled box at a place."""
    return f'<i style="position: absolute; {place}; background: {colour}"></i>'


def dot(left: float, bottom: float, size: int, look: str, told: str = "") -> str:
    """A mark around a point of the area; `told` is what the pointer finds there."""
    named = f' title="{escape(told)}"' if told else ""
    return (
        f'<i{named} style="position: absolute; left: {left}%; bottom: {bottom}%; width: {size}px; '
        f'height: {size}px; margin: 0 0 -{size / 2:g}px -{size / 2:g}px; {look}"></i>'
    )


def drawing(paths: str) -> str:
    """Lines and areas over the whole plot: SVG from 0 to 100 both ways, downwards.

    It comes as a picture, since Streamlit strips SVG from a page's own HTML.
    """
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" preserveAspectRatio="none">'
        f"{paths}</svg>"
    )
    place = "position: absolute; inset: 0; width: 100%; height: 100%; max-width: none"
    return f'<img alt="" src="data:image/svg+xml,{quote(svg)}" style="{place}"/>'
