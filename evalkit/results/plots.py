"""Comparisons and series as PNG files; matplotlib is imported when one is drawn."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.errors import UsageError
from evalkit.results.comparison import Comparison
from evalkit.results.difference import Difference
from evalkit.results.series import Curve, Series
from evalkit.results.speed import pareto_front
from evalkit.results.text import visible

_BETTER, _WORSE, _OPEN = "#2a7f3f", "#b3261e", "#5f6368"
# Okabe and Ito (2008), of the points of a trade.
_COLOURS = "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A939E"


def forest_plot(comparisons: Sequence[Comparison], path: Path) -> None:
    """Differences with their intervals, one row a figure; figures of one scale share an axis.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    rows = [
        (comparison.candidate.name if len(comparisons) > 1 else "", row)
        for comparison in comparisons
        for row in comparison.differences
        if row.ci_low is not None and row.ci_high is not None
    ]
    if not rows:
        raise UsageError("No difference has an interval; there is nothing to plot.")
    panels: dict[str, list[tuple[str, Difference]]] = {}
    for name, row in rows:
        small = max(abs(row.ci_low or 0), abs(row.ci_high or 0)) <= 1 and not row.unit
        panels.setdefault("share" if small else f"{row.metric} {row.unit}", []).append((name, row))
    pyplot = _pyplot()
    heights = [len(panel) for panel in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(8, 0.3 * sum(heights) + 0.7 * len(panels) + 0.6),
        squeeze=False, gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for ax, (scale, panel) in zip(axes[:, 0], panels.items(), strict=True):
        _forest(ax, scale, panel)
    against = {visible(comparison.baseline.name) for comparison in comparisons}
    figure.suptitle(f"difference to {', '.join(sorted(against))}, 95 % interval", fontsize=10)
    _save(figure, path)


def curve_plot(series: Series, path: Path) -> None:
    """One panel a task: the primary metric along the series, with the runs' intervals as a band.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    pyplot = _pyplot()
    columns = min(3, len(series.curves))
    lines = -(-len(series.curves) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(3.6 * columns, 2.6 * lines), squeeze=False
    )
    for ax, curve in zip(axes.flat, series.curves, strict=False):
        _curve(ax, curve, series.by_step)
    for ax in list(axes.flat)[len(series.curves) :]:
        ax.set_visible(False)
    _save(figure, path)


class Point(NamedTuple):
    """Something to be drawn in `trade_plot`; each figure as value, lower and upper end.

    Attributes:
        speed: More is better.
        size: Less is better.
        quality: More is better.
    """

    name: str
    speed: tuple[float, float, float]
    size: tuple[float, float, float]
    quality: tuple[float, float, float]


def trade_plot(points: Sequence[Point], path: Path) -> None:
    """Quality against speed and against size; what nothing beats in both is joined by a line.

    Args:
        points: The first is what the others are compared with.
        path: A PNG.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    _trade(axes[0], points, [p.speed for p in points], "times as fast", -1)
    _trade(axes[1], points, [p.size for p in points], "share of the size", 1)
    axes[0].set_ylabel("difference in quality", fontsize=8)
    handles = [
        pyplot.Line2D([], [], color=colour, marker="s", linestyle="", label=_plain(visible(p.name)))
        for p, colour in zip(points, cycle(_COLOURS), strict=False)
    ]
    axes[1].legend(handles=handles, fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    reference = _plain(visible(points[0].name))
    figure.suptitle(f"against {reference}, 95 % intervals; ◆ nothing beats it in both", fontsize=9)
    _save(figure, path)


def _trade(
    ax: Any,
    points: Sequence[Point],
    costs: Sequence[tuple[float, float, float]],
    label: str,
    sign: int,
) -> None:
    front = pareto_front([(sign * x[0], -p.quality[0]) for x, p in zip(costs, points, strict=True)])
    for x, point, best, colour in zip(costs, points, front, cycle(_COLOURS), strict=False):
        y = point.quality
        ax.plot(x[1:], [y[0]] * 2, color=colour, linewidth=1)
        ax.plot([x[0]] * 2, y[1:], color=colour, linewidth=1)
        ax.plot([x[0]], [y[0]], "D" if best else "o", color=colour, markersize=5)
    best = sorted((x[0], p.quality[0]) for x, p, b in zip(costs, points, front, strict=True) if b)
    ax.plot(*zip(*best, strict=True), "--", color=_BETTER, linewidth=0.8, zorder=0)
    ax.axhline(0, color="black", linewidth=0.5)
    ax.axvline(1, color="black", linewidth=0.5)
    ax.set_xlabel(label, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.margins(0.15)
    ax.grid(linewidth=0.3)


def check_plot_path(path: Path) -> None:
    """Raise `UsageError` unless a PNG can be drawn to the path."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot {path}: plots are PNG files; name one that ends in .png.")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: {path.parent} is no folder.")
    _pyplot()


def _forest(ax: Any, scale: str, rows: list[tuple[str, Difference]]) -> None:
    ax.axvline(0, color="black", linewidth=0.8)
    labels = []
    for place, (name, row) in enumerate(rows):
        gain = row.gain or 0.0
        colour = _OPEN if not row.significant() else _BETTER if gain > 0 else _WORSE
        ax.plot([row.ci_low, row.ci_high], [place, place], color=colour, linewidth=1.5)
        ax.plot([row.difference], [place], "o", color=colour, markersize=4)
        arrow = {True: "↑", False: "↓", None: ""}[row.higher_is_better]
        labels.append(visible(f"{name} {row.task} {row.metric} {arrow}".strip()))
    ax.set_yticks(range(len(rows)), [_plain(label) for label in labels], fontsize=7)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="x", labelsize=7)
    ax.grid(axis="x", linewidth=0.3)
    if scale != "share":
        ax.set_xlabel(_plain(scale), fontsize=7)


def _curve(ax: Any, curve: Curve, by_step: bool) -> None:
    points = [point for point in curve.points if point.value is not None]
    x = [point.position for point in points]
    low = [point.value if point.ci_low is None else point.ci_low for point in points]
    high = [point.value if point.ci_high is None else point.ci_high for point in points]
    ax.fill_between(x, low, high, color="#1f4e79", alpha=0.2, linewidth=0)
    ax.plot(x, [point.value for point in points], "o-", color="#1f4e79", markersize=3)
    ax.set_title(_plain(visible(f"{curve.task} {curve.metric}: {curve.reading}")), fontsize=7)
    ax.set_xlabel("training step" if by_step else "run", fontsize=7)
    ax.tick_params(labelsize=6)
    ax.grid(linewidth=0.3)


def _plain(text: str) -> str:
    """Text without matplotlib's mathematics: a name is shown, never interpreted."""
    return text.replace("$", r"\$")


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise UsageError(
            "Plots need matplotlib; install it with: pip install 'evalkit[plots]'."
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    try:
        figure.tight_layout()
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}.") from error
    finally:
        _pyplot().close(figure)
