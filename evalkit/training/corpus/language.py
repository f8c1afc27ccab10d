"""Tells the language of a document, by lingua."""

from functools import cached_property

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

from evalkit.errors import UsageError

_LOOKED_AT = 500
"""Characters from the beginning that are looked at."""


class LanguageFilter:
    """Keeps documents of some languages out of all that lingua knows.

    Args:
        codes: ISO 639-1 codes of the languages to keep.

    Raises:
        UsageError: A code is of no language that lingua knows.
    """

    def __init__(self, codes: tuple[str, ...]) -> None:
        known = {language.iso_code_639_1.name.lower(): language for language in Language.all()}
        unknown = [code for code in codes if code.lower() not in known]
        if unknown:
            raise UsageError(
                f"corpus.clean.languages has {unknown[0]!r}, which is no ISO 639-1 code of a "
                f"language that can be told; there are {', '.join(sorted(known))}."
            )
        self._kept = {known[code.lower()] for code in codes}

    @cached_property
    def _detector(self) -> LanguageDetector:
        # Trigrams alone tell a paragraph's language; the longer n-grams need ten times the memory.
        return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()

    def others(self, texts: list[str]) -> list[str | None]:
        """For each text None if it is in a language that is kept, else its language."""
        told = self._detector.detect_languages_in_parallel_of([t[:_LOOKED_AT] for t in texts])
        return [
            None if found in self._kept else found.name.capitalize() if found else "unknown"
            for found in told
        ]
