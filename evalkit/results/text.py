"""Comparisons as table cells, and text of strangers made safe for Markdown."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from evalkit.results.comparison import Comparison
from evalkit.results.difference import Difference
from evalkit.results.flip import CategoryFlips, Flip
from evalkit.results.series import Curve
from evalkit.results.ties import Standing
from evalkit.stats import MacroAverage

DIFFERENCE_HEADERS = (
    "Task",
    "Metric",
    "n",
    "Baseline",
    "Candidate",
    "Difference",
    "95 % interval",
    "Won/lost/tied",
    "p",
    "p (Holm)",
    "Could see",
    "",
)
FLIP_HEADERS = (
    "Task",
    "Document",
    "Category",
    "Outcome",
    "Metric",
    "Target",
    "Baseline",
    "Candidate",
)
CATEGORY_HEADERS = ("Task", "Metric", "Category", "n", "Won", "Lost")
STANDING_HEADERS = ("Task", "Metric", "Run", "Value", "Place", "p (Holm)")
CURVE_HEADERS = (
    "Task",
    "Metric",
    "n",
    "First → last",
    "Slope",
    "p (Holm)",
    "Trend",
    "Last against best",
)
LEGEND = (
    "Difference: candidate less baseline, over the samples both have. "
    "Could see: the smallest true difference that so many samples find four times out of five."
)
_LONGEST = 160
_SPECIAL = re.compile(r"([\\`*_{}\[\]~|$!>])")
_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_WORD_JOINER = "\u2060"


def number(value: float | None, sign: bool = False) -> str:
    """Four decimals, or so many digits where those would hide it; empty where undefined."""
    if value is None:
        return ""
    prefix = "+" if sign and value > 0 else ""
    size = abs(value)
    if size == 0 or 0.01 <= size < 1000:
        return f"{prefix}{size if size == 0 else value:.4f}"
    return f"{prefix}{value:.3g}" if size < 0.01 else f"{prefix}{value:.6g}"


def span(low: float | None, high: float | None) -> str:
    """An interval; empty where undefined."""
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def p_value(p: float | None) -> str:
    """A p-value; never shown as 0."""
    if p is None:
        return ""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def arrow(higher_is_better: bool | None) -> str:
    """The direction that is better."""
    return {True: " ↑", False: " ↓", None: ""}[higher_is_better]


def reading(row: Difference) -> str:
    """What a difference says: better, worse, different, or nothing; and its note."""
    words = []
    if row.significant():
        gain = row.gain
        words.append("different" if gain is None else "better" if gain > 0 else "worse")
    return "; ".join([*words, *([row.note] if row.note else [])])


def difference_cells(row: Difference) -> tuple[str, ...]:
    """Cells under `DIFFERENCE_HEADERS`."""
    named = "" if row.filter == "none" else f" ({row.filter})"
    outcomes = "" if row.wins is None else f"{row.wins}/{row.losses}/{row.ties}"
    clusters = "" if row.n_clusters is None else f" in {row.n_clusters} clusters"
    return (
        row.task,
        f"{row.metric}{named}{arrow(row.higher_is_better)}",
        f"{row.n}{clusters}",
        number(row.baseline),
        number(row.candidate),
        number(row.difference, sign=True),
        span(row.ci_low, row.ci_high),
        outcomes,
        p_value(row.p),
        p_value(row.p_holm),
        number(row.visible_effect),
        reading(row),
    )


def flip_cells(flip: Flip) -> tuple[str, ...]:
    """Cells under `FLIP_HEADERS`; long texts are cut."""
    return (
        flip.task,
        str(flip.doc_id),
        flip.category or "",
        flip.outcome,
        f"{flip.metric} {number(flip.baseline_value)} → {number(flip.candidate_value)}",
        cut(flip.target),
        cut(flip.baseline_answer),
        cut(flip.candidate_answer),
    )


def category_cells(row: CategoryFlips) -> tuple[str, ...]:
    """Cells under `CATEGORY_HEADERS`."""
    return (row.task, row.metric, row.category, str(row.n), str(row.won), str(row.lost))


def standing_cells(row: Standing) -> tuple[str, ...]:
    """Cells under `STANDING_HEADERS`."""
    return (
        row.task,
        row.metric,
        row.run,
        number(row.value),
        row.mark or "not paired",
        p_value(row.p),
    )


def curve_cells(curve: Curve) -> tuple[str, ...]:
    """Cells under `CURVE_HEADERS`."""
    first, last = curve.points[0].value, curve.points[-1].value
    slope = curve.trend.slope if curve.trend else None
    against = "the last is the best"
    if curve.last is not None:
        p = p_value(curve.last.p) or "not tested"
        against = f"{number(curve.last.difference, sign=True)} to {curve.best}, p {p}"
    return (
        curve.task,
        f"{curve.metric}{arrow(curve.higher_is_better)}",
        str(curve.trend.n) if curve.trend else "",
        f"{number(first)} → {number(last)}",
        number(slope, sign=True),
        p_value(curve.trend_p),
        curve.reading,
        "" if curve.best is None else against,
    )


def macro_line(average: MacroAverage | None) -> str:
    """A sentence on the mean difference over tasks; empty where there is none."""
    if average is None:
        return ""
    p = "" if average.p is None else f", p {p_value(average.p)}"
    interval = span(average.ci_low, average.ci_high)
    words = [f"Mean over {average.tasks} tasks:", number(average.value, sign=True), interval]
    return f"{' '.join(filter(None, words))}{p}."


def comparison_markdown(
    comparison: Comparison,
    flips: Sequence[Flip] = (),
    categories: Sequence[CategoryFlips] = (),
    average: MacroAverage | None = None,
) -> str:
    """The comparison as a Markdown page."""
    a, b = comparison.baseline, comparison.candidate
    parts = [
        f"## {safe(b.name)} against {safe(a.name)}",
        f"Runs {safe(b.run_id)} and {safe(a.run_id)}.",
        markdown_table(DIFFERENCE_HEADERS, map(difference_cells, comparison.differences)),
        *([safe(macro_line(average))] if average else []),
        LEGEND,
        *(f"- {safe(note)}" for note in comparison.notes),
    ]
    if categories:
        cells = map(category_cells, categories)
        parts += ["### Changes by category", markdown_table(CATEGORY_HEADERS, cells)]
    if flips:
        parts += ["### Samples that changed", markdown_table(FLIP_HEADERS, map(flip_cells, flips))]
    return "\n\n".join(parts) + "\n"


def standings_markdown(places: Sequence[Standing]) -> str:
    """Tie groups as a section of a page."""
    table = markdown_table(STANDING_HEADERS, map(standing_cells, places))
    return f"## Who cannot be told from the best\n\n{table}\n"


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells may hold anything; it is shown, never interpreted."""
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    lines += ["| " + " | ".join(safe(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def safe(text: object) -> str:
    """Text that Markdown shows as it is: no format, HTML, link, image or mention comes of it."""
    shown = visible(text).replace("&", "&amp;").replace("<", "&lt;")
    shown = _LINK.sub(r"\\", _SPECIAL.sub(r"\\\1", shown))
    return re.sub(r"([@#])(?=\w)", rf"\1{_WORD_JOINER}", shown)


def visible(text: object) -> str:
    """Text on one line, its control and direction characters replaced."""
    spaced = re.sub(r"\s+", " ", str(text))
    return "".join("�" if unicodedata.category(c)[0] == "C" else c for c in spaced)


def cut(text: str) -> str:
    """The beginning of a long text, on one line."""
    shown = visible(text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
