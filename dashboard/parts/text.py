"""Text that models and data wrote, made safe to show and still legible."""

import math
import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
_MARKUP = re.compile(r"[!-/:-@\[-`{-~]")


def visible(text: object) -> str:
    """The text with every control and direction mark shown by its code instead of obeyed."""
    return _HIDDEN.sub(_sign, "" if text is None else str(text).replace("\r\n", "\n"))


def one_line(text: object, most: int = 160) -> str:
    """The beginning of a text for a table's cell, on one line; nothing where there is no text."""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    return words if len(words) <= most else f"{words[:most]}…"


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where it is undefined."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """The two ends in brackets after a space; nothing where they are undefined."""
    if low != low:
        return ""
    return f" ({number(low, digits)}{' to ' if low < 0 else '–'}{number(high, digits)})"


def digits_for(largest: float) -> int:
    """Decimals that suit figures of this size: three for ratios, more for what is very small."""
    if 0 < largest < 0.01:
        return 2 - math.floor(math.log10(largest))
    return 3 if largest < 10 else 2 if largest < 1000 else 0


def label(text: object) -> str:
    """Text for a place where Streamlit reads Markdown: every sign of it escaped."""
    return _MARKUP.sub(r"\\\g<0>", visible(text).replace("\n", " "))


def _sign(match: re.Match[str]) -> str:
    return f"⟨U+{ord(match.group()):04X}⟩"
