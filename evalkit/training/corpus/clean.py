"""The second stage: mends texts, masks personal data, and drops what is not worth learning from.

Personal data is masked before anything is judged, so that none of it is in the examples.
"""

import re
from collections.abc import Iterator

import ftfy

from evalkit.training.corpus.bad_words import BadWords
from evalkit.training.corpus.boilerplate import Boilerplate
from evalkit.training.corpus.document import Document, batches
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
_ODD_LINE = re.compile(r"^[ -%'-~\t]*[^ -%'-~\t\n].*\n?", re.MULTILINE)
"""A line that is not ASCII without entities, escapes and controls; ftfy mends no others."""
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
        for batch in batches(self._stage.enter(documents)):
            mended = [Document(d.id, d.source, self._mend(d).strip()) for d in batch]
            left = [document for document in mended if self._passes(document)]
            yield from (self._stage.leave(document) for document in self._in_language(left))

    def _passes(self, document: Document) -> bool:
        """Whether the rules let a document pass; if not, it is dropped."""
        verdict = self._judge(document.text)
        if verdict is not None:
            self._stage.drop(document, *verdict)
        return verdict is None

    def _in_language(self, batch: list[Document]) -> Iterator[Document]:
        """The documents in languages that are kept; all at once, for lingua uses all cores."""
        if self._languages is None:
            yield from batch
            return
        told = self._languages.others([document.text for document in batch])
        for document, other in zip(batch, told, strict=True):
            if other is None:
                yield document
            else:
                self._stage.drop(document, "language", other)

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
        return fix_unicode(text) if self._settings.unicode else text

    def _straighten(self, text: str) -> str:
        if not self._settings.straight_quotes or text.isascii():
            return text
        return text.translate(_QUOTES)

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
        if verdict is None and self._bad_words and (word := self._bad_words.found(text)):
            verdict = Verdict("bad words", word)
        return verdict


def fix_unicode(text: str) -> str:
    """The text as ftfy mends it; entities such as `&amp;` stay where there is a `<`, as in code."""
    fixes = _FIXES._replace(unescape_html=False) if "<" in text else _FIXES
    return _ODD_LINE.sub(lambda line: ftfy.fix_text(line[0], fixes), text)


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
