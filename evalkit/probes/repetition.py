"""How much a text repeats itself."""

import re
from collections.abc import Sequence

LOOPS = 3
"""Times in a row from which the end of a text counts as a loop."""


def words(text: str) -> list[str]:
    """Words and punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text)


def seq_rep(tokens: Sequence[str], n: int) -> float | None:
    """Share of n-grams that repeat an earlier one; None where there is no n-gram.

    Source: Welleck et al. 2020, "Neural text generation with unlikelihood training", seq-rep-n.
    """
    grams = _grams(tokens, n)
    return 1 - len(set(grams)) / len(grams) if grams else None


def distinct(tokens: Sequence[str], n: int) -> float | None:
    """Distinct n-grams over the number of tokens; None where there is no n-gram.

    Source: Li et al. 2016, "A diversity-promoting objective function", distinct-n, of one text.
    """
    grams = _grams(tokens, n)
    return len(set(grams)) / len(tokens) if grams else None


def ends_in_loop(tokens: Sequence[str]) -> bool:
    """Whether the text ends with the same words three times in a row, however many they are.

    A repeated single punctuation mark, as in dots or a ruled line, is one too.
    """
    for size in range(1, len(tokens) // LOOPS + 1):
        last = list(tokens[-size:])
        if all(
            list(tokens[len(tokens) - size * (n + 1) : len(tokens) - size * n]) == last
            for n in range(1, LOOPS)
        ):
            return True
    return False


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
