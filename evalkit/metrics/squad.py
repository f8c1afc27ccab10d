"""Exact match and token F1 by the rules of SQuAD's evaluation script.

Source: Rajpurkar et al. 2016, "SQuAD: 100,000+ questions for machine comprehension of text".
"""

import re
import string
from collections import Counter
from collections.abc import Iterable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Text in lower case without ASCII punctuation, English articles and surplus white space."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, references: Iterable[str]) -> float:
    """1 where the prediction equals one of the references once both are normalised, else 0."""
    said = normalise(prediction)
    return float(any(said == normalise(reference) for reference in references))


def token_f1(prediction: str, references: Iterable[str]) -> float:
    """F1 of the words shared with the nearest reference; 0 where none is shared.

    Raises:
        ValueError: There are no references.
    """
    said = normalise(prediction).split()
    return max(_f1(said, normalise(reference).split()) for reference in references)


def _f1(said: list[str], wanted: list[str]) -> float:
    shared = (Counter(said) & Counter(wanted)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)
