"""What commands print: tables on stdout, sentences on stderr, never a terminal escape of others."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from tabulate import tabulate

from evalkit.cli.options import DEFAULT_STORE
from evalkit.redact import without_secrets

# Control characters, line and direction marks, halves of characters, invisible tags.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
    r"\U000e0000-\U000e007f]"
)


def plain(text: object) -> str:
    """Text without control characters, so that no data can steer the terminal."""
    return _CONTROL.sub("�", str(text))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table; None is shown as an empty cell."""
    cells = [["" if cell is None else _cell(cell) for cell in row] for row in rows]
    shown = [_cell(header) for header in headers]
    print(tabulate(cells, headers=shown, tablefmt="pipe", disable_numparse=True))


def note(message: str) -> None:
    """Print a remark to stderr, where it does not disturb the result."""
    print(plain(without_secrets(message)), file=sys.stderr)


def fail(message: str, exit_code: int) -> NoReturn:
    """Print one sentence to stderr and leave."""
    print(f"evalkit: {plain(without_secrets(message))}", file=sys.stderr)
    sys.exit(exit_code)


def figure(value: float | None) -> str | None:
    """A number for a table: four decimals, or as many digits where it is large or tiny."""
    if value is None:
        return None
    return f"{value:.4f}" if value == 0 or 0.01 <= abs(value) < 1000 else f"{value:.4g}"


def interval(low: float | None, high: float | None) -> str | None:
    """An interval for a table; None unless both ends are known."""
    return None if low is None or high is None else f"[{figure(low)}, {figure(high)}]"


def store_option(store: str) -> str:
    """What a command that is shown takes beside, to look into the same store."""
    return "" if store == DEFAULT_STORE else f" --store {without_secrets(store)}"


def _cell(value: object) -> str:
    return plain(value).replace("|", "\\|").replace("\n", " ")
