"""Words of a text, and hashes of words in a row, for whatever compares texts.

Words are compared without case, punctuation or spacing. A letter of a script that is written
without spaces is a word of its own.
"""

import re
from collections.abc import Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

# Thai to Khmer, kana, ideographs, with the planes of rare ones.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def words_of(text: str) -> list[str]:
    """The words, in lower case."""
    return _WORD.findall(text.lower())


def hash_words(words: Sequence[str]) -> Hashes:
    """A 64-bit hash of each word (xxh3); no word may have a space in it."""
    encoded = " ".join(words).encode().split(b" ") if words else []
    return np.fromiter(map(xxhash.xxh3_64_intdigest, encoded), np.uint64, len(words))


def hash_ngrams(hashes: Hashes, n: int) -> Hashes:
    """A 64-bit hash of every n words in a row; none if there are fewer words.

    It is a polynomial in the words' hashes modulo 2^64, mixed so that every bit counts.
    """
    count = len(hashes) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    mixed = np.zeros(count, np.uint64)
    for offset in range(n):
        mixed *= _MULTIPLIER
        mixed += hashes[offset : offset + count]
    mixed ^= mixed >> _HALF
    mixed *= _MULTIPLIER
    mixed ^= mixed >> _HALF
    return mixed
