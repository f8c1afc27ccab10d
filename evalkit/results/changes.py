"""Where two texts differ, word by word."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST = 4000

Piece = tuple[str, bool]
"""Part of a text, and whether the other text lacks it there."""


def word_changes(a: str, b: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces that are the same in both or not; the pieces joined give the text.

    White space alone is no change. Very long texts are one piece each, not looked into.
    """
    left, right = _WORDS.findall(a), _WORDS.findall(b)
    if max(len(left), len(right)) > _MOST:
        return [(a, False)], [(b, False)]
    matcher = SequenceMatcher(None, _plain(left), _plain(right), autojunk=False)
    mine: list[Piece] = []
    other: list[Piece] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        _add(mine, left[i:j], kind != "equal")
        _add(other, right[k:m], kind != "equal")
    return mine, other


def _plain(words: Sequence[str]) -> list[str]:
    return [" " if word.isspace() else word for word in words]


def _add(pieces: list[Piece], words: Sequence[str], changed: bool) -> None:
    text = "".join(words)
    if text:
        pieces.append((text, changed and not text.isspace()))
