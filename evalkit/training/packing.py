"""Lays documents into sequences of one length: whole ones side by side, or as one stream."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from evalkit.training.corpus.reader import Documents

Ids = np.ndarray[Any, np.dtype[Any]]
_OPEN = 48
"""Sequences being filled at a time; more would not leave fewer of their tokens empty."""


def pack(documents: Iterable[list[int]], length: int) -> Iterator[list[int]]:
    """Sequences of at most `length` tokens, each of whole documents, best fit first.

    No document is cut unless it alone is longer than a sequence, so every report stays with its
    summary; and every sequence begins as a prompt does, with the beginning of a document.

    Args:
        documents: Token ids of each document, its end-of-document token included.
        length: Most tokens in a sequence.
    """
    filling: list[list[int]] = []
    for document in documents:
        kept = document[:length]
        fitting = [each for each in filling if len(each) + len(kept) <= length]
        if fitting:
            max(fitting, key=len).extend(kept)
            continue
        if len(filling) == _OPEN:
            fullest = max(range(_OPEN), key=lambda index: len(filling[index]))
            yield filling.pop(fullest)
        filling.append(kept)
    yield from filling


class Stream:
    """Documents one after the other, round after round, cut into sequences of one length.

    Sequence `index` is the same whoever asks for it and whenever, so that a place in the stream
    is all that has to be known to go on; nothing is held in memory but where documents begin.
    """

    def __init__(self, documents: "Documents", length: int, seed: int | None) -> None:
        self._documents, self._length, self._seed = documents, length, seed
        self._total = documents.tokens
        self._round = lru_cache(maxsize=2)(self._lay)

    def __getitem__(self, index: int) -> Ids:
        """Token ids of a sequence, exactly `length` of them."""
        round_, start = divmod(index * self._length, self._total)
        pieces: list[Ids] = []
        missing = self._length
        while missing:
            order, ends = self._round(round_)
            at = int(np.searchsorted(ends, start, side="right"))
            document = self._documents[int(order[at])]
            skipped = start - (int(ends[at]) - len(document))
            piece = document[skipped : skipped + missing]
            pieces.append(piece)
            missing -= len(piece)
            start += len(piece)
            if start == self._total:
                round_, start = round_ + 1, 0
        return np.concatenate(pieces)

    def _lay(self, round_: int) -> tuple[Ids, Ids]:
        """Order of the documents in a round, and where each of them ends in the stream."""
        order = self._documents.order(self._seed, round_)
        return order, np.cumsum(self._documents.lengths[order])
