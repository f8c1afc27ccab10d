"""Lays whole documents side by side into sequences of one length."""

from collections.abc import Iterable, Iterator

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
