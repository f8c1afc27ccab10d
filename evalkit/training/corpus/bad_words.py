"""Finds words and phrases of a list that the user gives."""

import re
from pathlib import Path

from evalkit.errors import DataError
from evalkit.training.corpus.words import words_of


class BadWords:
    """Words and phrases, one a line of a file; without case, and whole words only.

    Raises:
        DataError: The file cannot be read or is empty.
    """

    def __init__(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise DataError(f"Cannot read corpus.clean.bad_words {path}: {reason}.") from None
        phrases = [" ".join(words_of(line)) for line in lines]
        self._words = {phrase for phrase in phrases if phrase and " " not in phrase}
        longer = [re.escape(phrase) for phrase in phrases if " " in phrase]
        self._phrases = re.compile(rf" (?:{'|'.join(longer)}) ") if longer else None
        if not self._words and not longer:
            raise DataError(f"corpus.clean.bad_words {path} holds no words.")

    def found(self, text: str) -> str | None:
        """The first of them, by the alphabet, that the text has; None if it has none."""
        words = words_of(text)
        hits = self._words.intersection(words)
        if hits:
            return min(hits)
        match = self._phrases.search(f" {' '.join(words)} ") if self._phrases else None
        return match[0].strip() if match else None
