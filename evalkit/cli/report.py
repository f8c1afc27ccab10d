"""`evalkit report`: runs as a page to hand on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.results.report_page import Report


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("report")(report)


def report(
    runs: Annotated[
        list[str], typer.Argument(help="id, name, tag:KEY=VALUE or latest; the first is baseline.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one self-contained HTML file.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            "--markdown", help="Write Markdown, with its pictures in a folder; - prints it."
        ),
    ] = None,
    store: options.Store = options.DEFAULT_STORE,
) -> None:
    """Write scores, comparisons, flips, safety and speed of runs as one page."""
    if html is None and markdown is None:
        raise UsageError("Say where the report goes: --html FILE, --markdown FILE, or both.")
    for option, path in (("--html", html), ("--markdown", markdown)):
        _check(option, path)
    from evalkit.results import Store
    from evalkit.results.report import make_report
    from evalkit.results.report_page import report_html

    made = make_report(Store(store), runs)
    if html is not None:
        _write(html, report_html(made))
    if markdown is not None:
        _write_markdown(markdown, made)


def _write_markdown(path: Path, made: "Report") -> None:
    from evalkit.results.report_page import report_markdown, report_pictures

    pictures = report_pictures(made)
    if path == Path("-") or not pictures:
        _write(path, report_markdown(made))
        return
    folder = path.with_name(f"{path.stem}-pictures")
    try:
        folder.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            (folder / name).write_text(picture, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}.") from error
    _write(path, report_markdown(made, folder.name))


def _check(option: str, path: Path | None) -> None:
    if path is None or path == Path("-"):
        return
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}.")


def _write(path: Path, text: str) -> None:
    if path == Path("-"):
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    note(f"Wrote {path}.")
