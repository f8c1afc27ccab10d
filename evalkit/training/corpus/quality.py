"""Rules that tell running text from lists, noise and repetition.

They and their bounds are Gopher's: Rae et al. 2021, "Scaling Language Models: Methods, Analysis &
Insights from Training Gopher", appendix A.1.1 and table A1. They were made for English; of
languages that are written without spaces they say nothing useful.
"""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.training.corpus.words import Hashes, hash_ngrams, hash_words

_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_LETTER = re.compile(r"[^\W\d_]")
_BULLETS = ("•", "‣", "▪", "●", "-", "*", "–")
_TOP_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
"""Length -> largest share of the letters that the most frequent such n-gram may have."""
_REPEATED_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
"""Length -> largest share of the letters that lie in n-grams said before."""
_REPEATED_LINES = 0.30
_REPEATED_PARAGRAPHS = 0.30
_REPEATED_LETTERS = 0.20

Lengths = NDArray[np.int64]


class Verdict(NamedTuple):
    """Why a document is dropped, and the figure that decided."""

    reason: str
    detail: str


def judge_length(words: list[str], fewest: int, most: int) -> Verdict | None:
    """Whether there are too few words or too many; no words at all are always too few."""
    if not words:
        return Verdict("empty", "")
    if len(words) < fewest:
        return Verdict("too short", f"{len(words)} words")
    if len(words) > most:
        return Verdict("too long", f"{len(words)} words")
    return None


def judge_gibberish(text: str, words: list[str], english: bool) -> Verdict | None:
    """Whether words and symbols are not those of running text.

    Args:
        text: The document.
        words: Its words, split at white space; at least one.
        english: Whether it is held to be English, which has the stop words looked for.
    """
    length = sum(map(len, words)) / len(words)
    if not 3 <= length <= 10:
        return Verdict("length of words", f"{length:.1f} letters a word")
    symbols = (text.count("#") + text.count("…") + text.count("...")) / len(words)
    if symbols > 0.1:
        return Verdict("symbols", f"{symbols:.2f} a word")
    alphabetic = sum(word.isalpha() or _LETTER.search(word) is not None for word in words)
    if alphabetic < 0.8 * len(words):
        return Verdict("words without a letter", f"{1 - alphabetic / len(words):.0%}")
    if english and len(_STOP_WORDS.intersection(map(str.lower, words))) < 2:
        return Verdict("no stop words", "fewer than two of the commonest words")
    return _judge_lines([line for line in text.split("\n") if line.strip()])


def _judge_lines(lines: list[str]) -> Verdict | None:
    bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines) / len(lines)
    if bullets > 0.9:
        return Verdict("bullets", f"{bullets:.0%} of lines")
    ellipses = sum(line.rstrip().endswith(("…", "...")) for line in lines) / len(lines)
    if ellipses > 0.3:
        return Verdict("ellipses", f"{ellipses:.0%} of lines")
    return None


def judge_repetition(text: str, words: list[str]) -> Verdict | None:
    """Whether lines, paragraphs or n-grams are said over and over."""
    return (
        _judge_parts(text.split("\n\n"), "paragraphs", _REPEATED_PARAGRAPHS)
        or _judge_parts(text.split("\n"), "lines", _REPEATED_LINES)
        or _judge_ngrams(words)
    )


def _judge_parts(parts: list[str], name: str, most: float) -> Verdict | None:
    parts = [part.strip() for part in parts if part.strip()]
    distinct = set(parts)
    if len(distinct) == len(parts):
        return None
    repeated = 1 - len(distinct) / len(parts)
    if repeated > most:
        return Verdict(f"repeated {name}", f"{repeated:.0%} of {name}")
    letters = 1 - sum(map(len, distinct)) / sum(map(len, parts))
    if letters > _REPEATED_LETTERS:
        return Verdict(f"repeated {name}", f"{letters:.0%} of letters")
    return None


def _judge_ngrams(words: list[str]) -> Verdict | None:
    hashes = hash_words(words)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    letters = int(lengths.sum())
    for n, most in _TOP_NGRAMS.items():
        share = _top_letters(hashes, lengths, n) / letters
        if share > most:
            return Verdict("repeated words", f"one {n}-gram is {share:.0%} of letters")
    for n, most in _REPEATED_NGRAMS.items():
        share = _repeated_letters(hashes, lengths, n) / letters
        if share > most:
            return Verdict("repeated words", f"{n}-grams said before are {share:.0%} of letters")
        if share <= min(_REPEATED_NGRAMS.values()):
            return None  # a longer n-gram repeats no more than the shorter ones in it
    return None


def _top_letters(hashes: Hashes, lengths: Lengths, n: int) -> int:
    """Letters in all occurrences of the most frequent n-gram; 0 if none occurs twice."""
    grams = hash_ngrams(hashes, n)
    if not len(grams):
        return 0
    ordered = np.sort(grams)
    firsts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(firsts, len(ordered)))
    top = int(counts.argmax())
    times = int(counts[top])
    if times == 1:
        return 0
    place = int(np.flatnonzero(grams == ordered[firsts[top]])[0])
    return times * int(lengths[place : place + n].sum())


def _repeated_letters(hashes: Hashes, lengths: Lengths, n: int) -> int:
    """Letters of words that lie in an n-gram which occurred before, each counted once."""
    grams = hash_ngrams(hashes, n)
    _, firsts = np.unique(grams, return_index=True)
    again = np.ones(len(grams), bool)
    again[firsts] = False
    starts = np.flatnonzero(again)
    if not len(starts):
        return 0
    marks = np.zeros(len(hashes) + 1, np.int64)
    np.add.at(marks, starts, 1)
    np.add.at(marks, starts + n, -1)
    return int(lengths[np.cumsum(marks[:-1]) > 0].sum())
