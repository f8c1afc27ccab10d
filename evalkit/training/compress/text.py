"""The text that a student learns from, in its teacher's tokens."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.errors import DataError
from evalkit.training.adapt.parent import Parent
from evalkit.training.adapt.recipe import MICRO_WORLD
from evalkit.training.adapt.rows import READ_BY, read_jsonl
from evalkit.training.corpus import CorpusReader
from evalkit.training.data import Packed, Sequences
from evalkit.training.manifest import read_manifest
from evalkit.training.objectives import form_causal
from evalkit.training.packing import pack
from evalkit.training.world.corpus import corpus
from evalkit.training.world.knobs import Knobs
from evalkit.training.world.world import World

_ENCODED_AT_ONCE = 512


def read_text(
    source: str, teacher: Parent, context: int, count: int
) -> tuple[Sequences, dict[str, Any]]:
    """Packed sequences of whole documents, taken again from the beginning where they run out.

    Args:
        source: The micro-world, with the effects that were planted in the teacher's corpus; a
            JSONL file with text; or a corpus that `evalkit corpus` made.
        teacher: Its tokenizer is used.
        context: Tokens in a sequence.
        count: Sequences wanted.

    Returns:
        The sequences, and the fields of their `CorpusRecord`.

    Raises:
        DataError: The source cannot be read, or has no text.
    """
    account = _Account(source)
    tokens = _tokens(account.read(_texts(source, teacher)), teacher, account)
    ids = np.zeros((count, context), np.int32)
    lengths = np.zeros(count, np.int32)
    for row, sequence in enumerate(islice(pack(tokens, context), count)):
        ids[row, : len(sequence)] = sequence
        lengths[row] = len(sequence)
    form = form_causal(context, teacher.tokenizer.eos_token_id)
    return Sequences(Packed(ids, lengths), count, context, form), account.fields


def _texts(source: str, teacher: Parent) -> Callable[[], Iterator[str]]:
    """Starts the text from its beginning."""
    path = Path(source)
    if source == MICRO_WORLD:
        manifest = read_manifest(teacher.path)
        knobs = (manifest and manifest.knobs) or Knobs()
        return lambda: (passage.text for passage in corpus(World(), knobs))
    if path.is_dir():
        return CorpusReader.open(path).texts
    _, rows = read_jsonl(path, READ_BY["distil"])
    return lambda: (row["text"] for row in rows)


def _tokens(texts: Iterator[str], teacher: Parent, account: "_Account") -> Iterator[list[int]]:
    """Token ids of each document, with the end-of-document token."""
    end = teacher.tokenizer.eos_token_id
    while batch := list(islice(texts, _ENCODED_AT_ONCE)):
        for ids in teacher.tokenizer(batch, add_special_tokens=False)["input_ids"]:
            account.tokens += len(ids) + 1
            yield [*ids, end]


class _Account:
    """Keeps count of the text as it is read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.documents = self.characters = self.tokens = 0
        self._hash = hashlib.sha256()

    def read(self, texts: Callable[[], Iterator[str]]) -> Iterator[str]:
        """The texts, round after round."""
        while True:
            before = self.documents
            for text in texts():
                self.documents += 1
                self.characters += len(text)
                self._hash.update(text.encode("utf-8", "surrogatepass") + b"\0")
                yield text
            if self.documents == before:
                raise DataError(f"{self.source} has no text to learn from.")

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of a `CorpusRecord`: documents read again count again."""
        return {
            "sha256": self._hash.hexdigest(),
            "passages": {self.source: self.documents},
            "characters": self.characters,
            "tokens": self.tokens,
        }
