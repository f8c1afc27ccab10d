"""Accounts of the stages: what came in, what was changed, what was dropped and why."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from evalkit.training.corpus.document import Document

EXAMPLES = 10
_EXCERPT = 200
_ROWS_AT_ONCE = 5000
_DROPPED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


class Example(BaseModel):
    """One case of something that was done.

    Attributes:
        id: The document's.
        text: The place in question, or the document's beginning.
        detail: The figure or name that decided.
    """

    id: str
    text: str
    detail: str = ""


class Tally(BaseModel):
    """How often something was done.

    Attributes:
        documents: Documents it was done to.
        times: Places it was done at.
        examples: At most ten of them, drawn evenly.
    """

    documents: int = 0
    times: int = 0
    examples: list[Example] = []

    def add(self, example: Example, times: int, rng: Random) -> None:
        """Count a document, and keep it among the examples with equal chances for all."""
        self.documents += 1
        self.times += times
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)
        elif (place := rng.randrange(self.documents)) < EXAMPLES:
            self.examples[place] = example


class StageRecord(BaseModel):
    """What a stage did.

    Attributes:
        documents_in, documents_out: Documents it was given and gave on.
        characters_in, characters_out: The characters in them.
        changed: What was mended or masked -> how often; the document stayed.
        dropped: Reason -> documents it was dropped for.
    """

    stage: str
    documents_in: int = 0
    documents_out: int = 0
    characters_in: int = 0
    characters_out: int = 0
    changed: dict[str, Tally] = {}
    dropped: dict[str, Tally] = {}


class DropFile:
    """`dropped.parquet`: every document that was dropped, with its stage and the reason."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetWriter(path, _DROPPED_SCHEMA, compression="zstd")
        self._rows: list[tuple[str, str, str, str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
        self._file.close()

    def add(self, id_: str, source: str, stage: str, reason: str, detail: str) -> None:
        """List a document."""
        self._rows.append((id_, source, stage, reason, detail))
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(_DROPPED_SCHEMA)
        arrays = [pa.array(column, pa.string()) for column in columns]
        self._file.write_table(pa.table(arrays, schema=_DROPPED_SCHEMA))
        self._rows.clear()


@dataclass(slots=True)
class Stage:
    """Keeps the account of one stage while it runs."""

    name: str
    file: DropFile
    record: StageRecord = field(init=False)
    rng: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - draws examples

    def __post_init__(self) -> None:
        self.record = StageRecord(stage=self.name)

    def enter(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Count documents on their way in."""
        for document in documents:
            self.record.documents_in += 1
            self.record.characters_in += len(document.text)
            yield document

    def leave(self, document: Document) -> Document:
        """Count a document on its way out."""
        self.record.documents_out += 1
        self.record.characters_out += len(document.text)
        return document

    def drop(self, document: Document, reason: str, detail: str = "", place: int = 0) -> None:
        """Count and list a document that goes no further; its text shows why at `place`."""
        example = Example(id=document.id, text=excerpt(document.text, place), detail=detail)
        self.record.dropped.setdefault(reason, Tally()).add(example, 1, self.rng)
        self.file.add(document.id, document.source, self.name, reason, detail)

    def change(self, document: Document, what: str, shown: str, times: int = 1) -> None:
        """Count a document that was changed at some places, one of which is shown."""
        example = Example(id=document.id, text=shown)
        self.record.changed.setdefault(what, Tally()).add(example, times, self.rng)


def excerpt(text: str, place: int = 0) -> str:
    """Some two hundred characters of a text around a place, on one line."""
    first = max(0, place - _EXCERPT // 2)
    part = text[first : first + _EXCERPT]
    before, after = "…" if first else "", "…" if first + _EXCERPT < len(text) else ""
    return before + " ".join(part.split()) + after
