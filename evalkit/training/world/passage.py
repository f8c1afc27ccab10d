"""The two things a world is written down as: passages to learn from, questions held back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Passage:
    """One document of the training corpus.

    Attributes:
        kind: Which generator wrote it; a key of `evalkit.training.world.corpus.SHARES`.
        text: The document.
        keys: What it gives away; it is kept out of the corpus if a held-out question has a key
            in common with it.
    """

    kind: str
    text: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One held-out task document.

    Attributes:
        row: Fields of the task's data file.
        solved: Prompt and right answer in one text: what a corpus with leaked tests contains.
        key: What must not be given away by any passage.
    """

    row: Mapping[str, Any]
    solved: str
    key: str
