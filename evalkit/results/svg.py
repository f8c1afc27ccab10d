"""Intervals as SVG for pages without scripts: drawn by the browser, coloured by the page's CSS.

The classes are `best`, `worse`, `open` (colour of a mark), `axis` and `grid`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from evalkit.results.text import visible

_WIDTH, _LABELS, _MARGIN, _ROW, _TOP, _BOTTOM = 440, 170, 14, 22, 6, 24
_LONGEST = 26


@dataclass(frozen=True, slots=True)
class Mark:
    """A value on its interval.

    Attributes:
        label: Shown as it is.
        value: Its place.
        low: Lower end; None where there is no interval.
        high: Upper end.
        kind: "best", "worse" or "open"; also told by the shape.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    kind: str = "open"


def interval_svg(marks: Sequence[Mark], title: str, zero: bool = False) -> str:
    """Values on their intervals, a mark a line, under one axis.

    Args:
        marks: From top to bottom.
        title: What a screen reader says of the picture.
        zero: Whether to draw a line at 0, which is then part of the axis.
    """
    ends = [end for mark in marks for end in (mark.value, mark.low, mark.high) if end is not None]
    low, high = axis_span([*ends, 0.0] if zero else ends)
    height = _TOP + _ROW * len(marks) + _BOTTOM
    scale = (_WIDTH - _LABELS - 2 * _MARGIN) / (high - low)

    def at(value: float) -> float:
        return round(_LABELS + _MARGIN + (value - low) * scale, 1)

    bottom = height - _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_text(title)}">',
        *(_tick(tick, at(tick), bottom) for tick in axis_ticks(low, high)),
    ]
    if zero:
        parts.append(f'<path class="axis" d="M{at(0)} {_TOP}V{bottom}"/>')
    for place, mark in enumerate(marks):
        parts.append(_line(mark, _TOP + _ROW * place + _ROW / 2, at))
    return "".join([*parts, "</svg>"])


def _line(mark: Mark, y: float, at: Callable[[float], float]) -> str:
    label = mark.label if len(mark.label) <= _LONGEST else f"{mark.label[: _LONGEST - 1]}…"
    told = f"{mark.label}: {mark.value:.4g}"
    whisker = ""
    if mark.low is not None and mark.high is not None:
        told += f" [{mark.low:.4g}, {mark.high:.4g}]"
        whisker = f'<path d="M{at(mark.low)} {y}H{at(mark.high)}"/>'
    x = at(mark.value)
    shapes = {
        "best": f'<path class="dot" d="M{x} {y - 6}l6 6l-6 6l-6-6z"/>',
        "worse": f'<path class="dot" d="M{x - 5} {y - 5}h10l-5 10z"/>',
    }
    dot = shapes.get(mark.kind, f'<circle class="dot" cx="{x}" cy="{y}" r="4.5"/>')
    return (
        f'<text x="{_LABELS}" y="{y + 4}" text-anchor="end">{_text(label)}</text>'
        f'<g class="{mark.kind}"><title>{_text(told)}</title>{whisker}{dot}</g>'
    )


def _tick(value: float, x: float, bottom: int) -> str:
    line = f'<path class="grid" d="M{x} {_TOP}V{bottom}"/>'
    return f'{line}<text x="{x}" y="{bottom + 16}" text-anchor="middle">{value:.10g}</text>'


def axis_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers within the axis, at most one more than `most`."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def axis_span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds the values, with some room beside them."""
    finite = [value for value in values if np.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _text(text: str) -> str:
    return escape(visible(text))
