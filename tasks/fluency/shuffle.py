"""Passages in their own order of sentences and in others, for the task files beside this one."""

import hashlib
import random
import re
from collections.abc import Iterator
from typing import Any

from evalkit.errors import DataError

SENTENCES = 5
ORDERS = 3

# The end of a sentence, perhaps a closing quote, then white space and a new beginning.
_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+(?=[\"'“‘(]*[A-Z0-9])")


def pairs(docs: Any) -> Any:
    """One row for each passage and wrong order: the two texts, and which is the true one."""
    if "text" not in docs.column_names:
        raise DataError(f"The file has no field 'text', only {', '.join(docs.column_names)}.")
    return _dataset(docs["text"])


def pages(docs: Any) -> Any:
    """The same from pages: a line is a paragraph, a line that begins with `=` a heading."""
    lines = (line.strip() for page in docs["page"] for line in page.split("\n"))
    return _dataset([line for line in lines if line and not line.startswith("=")])


def _dataset(texts: list[str]) -> Any:
    from datasets import Dataset

    rows = [row for text in texts for row in _rows(text)]
    if not rows:
        raise ValueError(f"no paragraph has {SENTENCES} different sentences")
    return Dataset.from_list(rows)


def _rows(text: str) -> Iterator[dict[str, Any]]:
    sentences = _sentences(" ".join(text.split()))
    for start in range(0, len(sentences) - SENTENCES + 1, SENTENCES):
        passage = sentences[start : start + SENTENCES]
        if len(set(passage)) < SENTENCES:
            continue
        true = " ".join(passage)
        name = hashlib.sha256(true.encode()).hexdigest()[:12]
        draw = random.Random(name)  # noqa: S311
        wrong: list[str] = []
        while len(wrong) < ORDERS:
            other = " ".join(draw.sample(passage, SENTENCES))
            if other != true and other not in wrong:
                wrong.append(other)
        for other in wrong:
            answer = draw.randrange(2)
            yield {
                "passage": name,
                "choices": [true, other] if answer == 0 else [other, true],
                "answer": answer,
            }


def _sentences(text: str) -> list[str]:
    found, start = [], 0
    for end in _END.finditer(text):
        found.append(text[start : end.end()].strip())
        start = end.end()
    return [*found, text[start:].strip()] if text[start:].strip() else found
