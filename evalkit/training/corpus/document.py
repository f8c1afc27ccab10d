"""A document of a corpus, and the shards that carry documents from one stage to the next."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), metadata={"about": "file, and row or part, it was read from"}),
        pa.field("source", pa.string(), metadata={"about": "the recipe's source it belongs to"}),
        pa.field("text", pa.large_string()),
    ]
)
BATCH = 2_000_000
"""Characters that are held at once."""
_MOST_DOCUMENTS = 4096
_BATCHES_OF_A_SHARD = 64


@dataclass(frozen=True, slots=True)
class Document:
    """One text.

    Attributes:
        id: File it was read from, and its row or part there.
        source: Name of the recipe's source it belongs to.
    """

    id: str
    source: str
    text: str


def batches(documents: Iterable[Document], characters: int = BATCH) -> Iterator[list[Document]]:
    """Documents in lists of about so many characters."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= characters or len(batch) >= _MOST_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def write_documents(folder: Path, documents: Iterable[Document]) -> None:
    """Write documents to Parquet shards in a new folder."""
    folder.mkdir(parents=True)
    groups = batches(documents)
    for number, first in enumerate(groups):
        path = folder / f"{number:05d}.parquet"
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as shard:
            for group in chain([first], islice(groups, _BATCHES_OF_A_SHARD - 1)):
                shard.write_table(_table(group))


def read_documents(folder: Path) -> Iterator[Document]:
    """The documents of a folder's shards, in order."""
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False) as shard:
            for number in range(shard.num_row_groups):
                group = shard.read_row_group(number)
                columns = (group.column(name).to_pylist() for name in SCHEMA.names)
                for values in zip(*columns, strict=True):
                    yield Document(*values)


def _table(group: list[Document]) -> pa.Table:
    columns = (
        [document.id for document in group],
        [document.source for document in group],
        [document.text for document in group],
    )
    return pa.table(dict(zip(SCHEMA.names, columns, strict=True)), SCHEMA)
