"""Parquet files of the store: compressed, with checksums, read no further than asked."""

from collections.abc import Sequence
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from evalkit.errors import DataError
from evalkit.redact import without_secrets
from evalkit.results.schema import conform

_ALWAYS = {"doc_id", "metric", "phase", "statistics"}


def write_table(
    fs: fsspec.AbstractFileSystem, path: str, table: pa.Table, group: int | None = None
) -> None:
    """Write a table, in row groups of so many rows where a number is given."""
    with fs.open(path, "wb") as file:
        pq.write_table(
            table, file, compression="zstd", row_group_size=group, write_page_checksum=True
        )


def read_table(
    fs: fsspec.AbstractFileSystem,
    path: str,
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    documents: tuple[int, int] | None = None,
) -> pa.Table:
    """Read a table in a schema.

    Args:
        fs: File system the path is in.
        path: The file.
        schema: What its columns are; one that an older file lacks becomes null.
        columns: Only these; all by default.
        documents: Only rows whose `doc_id` lies in this range, both ends included; parts of the
            file outside it are not read.

    Raises:
        DataError: The file is missing or damaged.
    """
    wanted = [name for name in schema.names if columns is None or name in columns]
    try:
        with fs.open(path, "rb") as file:
            present = pq.ParquetFile(file, page_checksum_verification=True)
            _refuse_other(present, schema)
            table = _read_columns(present, wanted, documents)
        return conform(table, pa.schema([schema.field(name) for name in wanted]))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What is wrong, on one line; of a manifest, the first field that is."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return ".".join(map(str, first["loc"])) + (": " if first["loc"] else "") + first["msg"]
    return next(iter(without_secrets(str(error)).splitlines()), type(error).__name__)


def _refuse_other(file: pq.ParquetFile, schema: pa.Schema) -> None:
    """Null stands for a column that an older version lacks; every version has these."""
    lacking = _ALWAYS & set(schema.names) - set(file.schema_arrow.names)
    if lacking:
        raise ValueError(f"it has no column {min(lacking)}")


def _read_columns(
    file: pq.ParquetFile, wanted: Sequence[str], documents: tuple[int, int] | None
) -> pa.Table:
    """The columns that are there; of the documents in the range, both ends included."""
    known = [name for name in wanted if name in file.schema_arrow.names]
    if documents is None or "doc_id" not in file.schema_arrow.names:
        return file.read(columns=known)
    low, high = documents
    place = file.schema_arrow.names.index("doc_id")
    groups = []
    for number in range(file.num_row_groups):
        found = file.metadata.row_group(number).column(place).statistics
        ends: tuple[Any, Any] = (low, high)
        if found is not None and found.has_min_max:
            ends = found.min, found.max
        if ends[0] <= high and ends[1] >= low:
            groups.append(number)
    table = file.read_row_groups(groups, columns=[*known, *({"doc_id"} - set(known))])
    inside = (pc.field("doc_id") >= low) & (pc.field("doc_id") <= high)
    return table.filter(inside).select(known)
