"""The index of a store: all manifests in one file, all scores in another, read at once.

It is only a cache: a Parquet file with a checksum behind it. Its footer has, for every run in it,
the *stamp* of the run: the sizes and times of the run's own files as they were read. A run is
believed from the index only where its files still have that stamp, and read from its own files
otherwise. So an index may be stale, deleted, damaged, or written by two at once, and the answer is
the same. It is written anew by a reader that had to read many runs that it lacks.
"""

import gc
import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from evalkit.results.schema import SCHEMA_VERSION
from evalkit.types import digest

FOLDER = ".index"
MANIFEST_NAME = "run.json"
SCORES_NAME = "scores.parquet"
# So many runs may be missing from the index, or gone, before it is written anew.
WORTH_WRITING = 16

_CHECKSUM_BYTES = 16
_STAMPS = b"evalkit.stamps.%d" % SCHEMA_VERSION  # an index of other columns is not believed
_MARKS = ("size", "mtime", "created", "LastModified", "ETag", "updated", "md5Hash", "sha256")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store lies: a file system and the root in it, without a slash at the end."""

    fs: fsspec.AbstractFileSystem
    root: str


def run_stamps(place: Place) -> dict[str, str]:
    """Run id -> stamp of every folder with a manifest; reads no file."""
    if isinstance(place.fs, LocalFileSystem):
        return dict(_local_stamps(Path(place.root)))
    marks: dict[str, list[list[str]]] = {}
    place.fs.invalidate_cache(place.root)
    files: Mapping[str, Mapping[str, Any]] = place.fs.find(place.root, detail=True)
    for path, info in sorted(files.items()):
        run_id, _, name = path.removeprefix(place.root).lstrip("/").partition("/")
        if name in (MANIFEST_NAME, SCORES_NAME) and not run_id.startswith("."):
            found = [name, *(str(info.get(mark, "")) for mark in _MARKS)]
            marks.setdefault(run_id, []).append(found)
    return {
        run_id: digest(found) for run_id, found in marks.items() if found[0][0] == MANIFEST_NAME
    }


def indexed(
    place: Place,
    name: str,
    read: Callable[[str], pa.Table | None],
    runs: Collection[str] | None = None,
    columns: list[str] | None = None,
    wanted: pc.Expression | None = None,
) -> list[pa.Table]:
    """One table of each run, from the index or else from the run itself, in no certain order.

    Args:
        place: The store.
        name: Which of the two files.
        read: Reads a run's whole table, `run_id` among its columns; None where it is damaged.
        runs: Run ids; all runs by default.
        columns: Columns wanted, all by default.
        wanted: Rows wanted, all by default.
    """
    stamps = run_stamps(place)
    held = _Held.load(_path(place, name), place.fs)
    valid = {run_id for run_id, stamp in held.stamps.items() if stamps.get(run_id) == stamp}
    asked = set(stamps) if runs is None else set(runs)
    fresh = {}
    for run_id in sorted(asked - valid):
        table = read(run_id)
        if table is not None:
            fresh[run_id] = table
    if len(fresh) + len(held.stamps) - len(valid) >= WORTH_WRITING:
        known = {run_id: stamp for run_id, stamp in stamps.items() if run_id in valid | set(fresh)}
        tables = [*held.rows(valid), *(fresh[run_id] for run_id in fresh if run_id in known)]
        _write(place, name, pa.concat_tables(tables), known)
    found = [*held.rows(valid & asked, columns, wanted), *fresh.values()]
    return [narrowed(table, columns, wanted) for table in found]


@dataclass(frozen=True, slots=True)
class _Held:
    """An index file in memory, so that nobody changes it under the reader; empty if unreadable."""

    file: pq.ParquetFile | None
    stamps: dict[str, str]

    @classmethod
    def load(cls, path: str, fs: fsspec.AbstractFileSystem) -> "_Held":
        try:
            content = fs.cat_file(path)
            if _checksum(content[:-_CHECKSUM_BYTES]) != content[-_CHECKSUM_BYTES:]:
                return cls(None, {})
            file = pq.ParquetFile(io.BytesIO(content[:-_CHECKSUM_BYTES]))
            stamps = json.loads((file.schema_arrow.metadata or {})[_STAMPS])
        except Exception:  # of whatever kind the damage is, the runs themselves can be read
            return cls(None, {})
        return cls(file, stamps) if isinstance(stamps, dict) else cls(None, {})

    def rows(
        self,
        valid: set[str],
        columns: list[str] | None = None,
        wanted: pc.Expression | None = None,
    ) -> Iterator[pa.Table]:
        if self.file is None or not valid:
            return
        named = None if columns is None or wanted is not None else [*columns, "run_id"]
        table = self.file.read(columns=named).replace_schema_metadata(None)
        if len(valid) < len(self.stamps):
            table = table.filter(pc.is_in(table["run_id"], pa.array(sorted(valid), pa.string())))
        yield table


@contextmanager
def uncollected() -> Iterator[None]:
    """Where thousands of records are made and none is garbage, looking for some is most of it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def narrowed(table: pa.Table, columns: list[str] | None, wanted: pc.Expression | None) -> pa.Table:
    """Only these rows and columns, without notes in the schema."""
    table = table.replace_schema_metadata(None)
    table = table if wanted is None else table.filter(wanted)
    return table if columns is None else table.select(columns)


def _write(place: Place, name: str, table: pa.Table, stamps: Mapping[str, str]) -> None:
    """Replace an index file in one step; a store that cannot be written has no index."""
    notes = {_STAMPS: json.dumps(dict(stamps)).encode()}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(notes), buffer, compression="zstd")
    content = buffer.getvalue() + _checksum(buffer.getvalue())
    path = _path(place, name)
    with suppress(Exception):  # each file system has errors of its own
        if not isinstance(place.fs, LocalFileSystem):
            place.fs.pipe_file(path, content)
            return
        place.fs.makedirs(f"{place.root}/{FOLDER}", exist_ok=True)
        temporary = Path(f"{path}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _path(place: Place, name: str) -> str:
    return f"{place.root}/{FOLDER}/{name}"


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()


def _local_stamps(root: Path) -> Iterator[tuple[str, str]]:
    """As `run_stamps`, by two system calls for each run."""
    if not root.is_dir():
        return
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        marks = []
        for file in (MANIFEST_NAME, SCORES_NAME):
            with suppress(FileNotFoundError, NotADirectoryError):
                found = os.stat(f"{root}/{name}/{file}")  # noqa: PTH116 - thousands of them
                marks.append(f"{file} {found.st_size} {found.st_mtime_ns} {found.st_ino}")
        if marks and marks[0].startswith(MANIFEST_NAME):
            yield name, ", ".join(marks)
