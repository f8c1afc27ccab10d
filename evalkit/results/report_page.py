"""A page as HTML or Markdown: titles, sentences, tables and pictures, whatever text is in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from evalkit.results.text import markdown_table, safe, visible


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose cells may hold anything."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG of our own making, and what stands over it."""

    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    """Part of a page: a title, sentences, tables and pictures."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A page on some runs."""

    title: str
    sections: Sequence[Section] = field(default_factory=tuple)


def report_markdown(report: Report, folder: str | None = None) -> str:
    """The page as Markdown.

    Args:
        report: The page.
        folder: Where `report_pictures` lie, as seen from the page; None for a page without them.
    """
    parts = [f"# {safe(report.title)}"]
    names = iter(report_pictures(report))
    for section in report.sections:
        parts.append(f"## {safe(section.title)}")
        parts += [safe(sentence) for sentence in section.text]
        parts += [
            markdown_table([*map(safe, table.headers)], table.rows) for table in section.tables
        ]
        if folder is not None:
            parts += [
                f"![{safe(each.caption)}](<{folder}/{next(names)}>)" for each in section.pictures
            ]
    return "\n\n".join(parts) + "\n"


def report_pictures(report: Report) -> dict[str, str]:
    """File name -> SVG of its own, for each picture of the page in order."""
    pictures = [picture for section in report.sections for picture in section.pictures]
    return {f"{number}.svg": _alone(picture) for number, picture in enumerate(pictures, 1)}


def _alone(picture: Picture) -> str:
    """A picture with the colours that the page would give it."""
    opening, rest = picture.svg.split(">", 1)
    name = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"'
    return f"{opening.replace('<svg', f'<svg {name}', 1)}><style>{_PICTURES}</style>{rest}\n"


def report_html(report: Report) -> str:
    """The page as one HTML file: no script, nothing fetched, light and dark."""
    body = [f"<h1>{html_text(report.title)}</h1>"]
    for section in report.sections:
        body.append(f"<section><h2>{html_text(section.title)}</h2>")
        body += [f"<p>{html_text(sentence)}</p>" for sentence in section.text]
        body += [_html_table(table, section.title) for table in section.tables]
        figures = "".join(map(_figure, section.pictures))
        body.append(f'<div class="figures">{figures}</div>' if figures else "")
        body.append("</section>")
    return _PAGE.format(title=html_text(report.title), style=_STYLE, body="\n".join(body))


def _figure(picture: Picture) -> str:
    return f"<figure><figcaption>{html_text(picture.caption)}</figcaption>{picture.svg}</figure>"


def _html_table(table: Table, title: str) -> str:
    head = "".join(f'<th scope="col">{html_text(cell)}</th>' for cell in table.headers)
    lines = ("".join(f"<td>{html_text(cell)}</td>" for cell in row) for row in table.rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    label = f'role="region" aria-label="{html_text(title)}" tabindex="0"'
    return f"<div {label}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def html_text(text: object) -> str:
    """Text on one line that HTML shows as it is."""
    return escape(visible(text))


_PICTURES = """
:root { color-scheme: light dark; --best: #0072b2; --worse: #d55e00; --open: #6b7580;
  --line: #d8dee5; --text: #1c2530; --back: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --best: #56b4e9; --worse: #e69f00; --open: #8a96a3;
  --line: #333d49; --text: #e6eaef; --back: #11161c; } }
svg { width: 100%; max-width: 460px; height: auto; font-size: 12px;
  background: var(--back); }
svg text { fill: var(--text); } svg path { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--text); stroke-dasharray: 4 3; }
svg g path { stroke-width: 2; } svg .best path { stroke: var(--best); }
svg .worse path { stroke: var(--worse); } svg .open path { stroke: var(--open); }
svg .best .dot { fill: var(--best); } svg .worse .dot { fill: var(--worse); }
svg .open .dot { fill: var(--open); }
"""
_STYLE = (
    _PICTURES
    + """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 82rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin-top: 2rem; }
div { overflow-x: auto; margin: .75rem 0; } p { max-width: 60rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem .3rem 0; text-align: left;
  vertical-align: top; }
td { min-width: 4.5rem; max-width: 28rem; overflow-wrap: break-word; }
.figures { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
th { white-space: nowrap; }
figure { margin: .5rem 0 1rem; } figcaption { font-size: .85rem; }
"""
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
