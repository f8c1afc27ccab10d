"""The second stage: mends texts, masks personal data, and drops what is not worth learning from.

Personal data is masked before anything is judged, so that none of it is in the examples.
"""

from collections.abc import Iterator

import ftfy

from evalkit.training.corpus.bad_words import BadWords
from evalkit.training.corpus.boilerplate import Boilerplate
from evalkit.training.corpus.document import Document
from evalkit.training.corpus.language import LanguageFilter
from evalkit.training.corpus.ledger import Stage, excerpt
from evalkit.training.corpus.pii import maskers
from evalkit.training.corpus.quality import (
    Verdict,
    judge_gibberish,
    judge_length,
    judge_repetition,
)
from evalkit.training.corpus.settings import Clean

_QUOTES = str.maketrans({**dict.fromkeys("‘’‚‛′", "'"), **dict.fromkeys("“”„‟″", '"')})
_FIXES = ftfy.TextFixerConfig(uncurl_quotes=False, explain=False)


class Cleaner:
    """Mends and judges documents by a recipe's section.

    Args:
        settings: The section.
        frequent: Hashes of lines that many documents have; see `boilerplate.LineFile`.
        stage: Keeps the account.

    Raises:
        UsageError: A language is unknown.
        DataError: The list of bad words cannot be read.
    """

    def __init__(self, settings: Clean, frequent: set[int], stage: Stage) -> None:
        self._settings, self._stage = settings, stage
        self._boilerplate = Boilerplate(frequent)
        self._maskers = maskers(settings.pii, settings.phone_regions)
        self._languages = LanguageFilter(settings.languages) if settings.languages else None
        self._bad_words = BadWords(settings.bad_words) if settings.bad_words else None

    def clean(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay, as they are to be learnt from."""
        for document in self._stage.enter(documents):
            mended = Document(document.id, document.source, self._mend(document).strip())
            verdict = self._judge(mended.text)
            if verdict is None:
                yield self._stage.leave(mended)
            else:
                self._stage.drop(mended, *verdict)

    def _mend(self, document: Document) -> str:
        """The text mended and masked, each change counted; what is shown of it is masked too."""
        text, places = document.text, {}
        for what, change in (("Unicode", self._fix), ("quotes", self._straighten)):
            changed = change(text)
            if changed != text:
                places[what] = _first_difference(text, changed)
            text = changed
        text = self._mask(document, text)
        for what, place in places.items():
            self._stage.change(document, what, excerpt(text, place))
        kept, removed = self._boilerplate.remove(text)
        if removed:
            self._stage.change(document, "boilerplate lines", excerpt(removed[0]), len(removed))
        return kept

    def _fix(self, text: str) -> str:
        return ftfy.fix_text(text, _FIXES) if self._settings.unicode else text

    def _straighten(self, text: str) -> str:
        return text.translate(_QUOTES) if self._settings.straight_quotes else text

    def _mask(self, document: Document, text: str) -> str:
        masked = {}
        for kind, mask in self._maskers.items():
            text, times = mask(text)
            if times:
                masked[kind] = times
        for kind, times in masked.items():
            place = text.find(f"[{kind.upper()}]")
            self._stage.change(document, f"masked {kind}", excerpt(text, place), times)
        return text

    def _judge(self, text: str) -> Verdict | None:
        settings, words = self._settings, text.split()
        verdict = judge_length(words, settings.min_words, settings.max_words)
        if verdict is None and settings.gibberish:
            verdict = judge_gibberish(text, words, settings.languages == ("en",))
        if verdict is None and settings.repetition:
            verdict = judge_repetition(text, words)
        if verdict is None and self._languages and (told := self._languages.told(text)):
            verdict = Verdict("language", told)
        if verdict is None and self._bad_words and (word := self._bad_words.found(text)):
            verdict = Verdict("bad words", word)
        return verdict


def _first_difference(text: str, other: str) -> int:
    """Where two different texts part."""
    low, high = 0, min(len(text), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if text[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
