"""The first stage: reads the recipe's sources, file by file, and names what it cannot read."""

import hashlib
import os
import stat
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evalkit.errors import DataError
from evalkit.training.corpus.document import Document
from evalkit.training.corpus.formats import UnreadableError, read_texts
from evalkit.training.corpus.ledger import Stage
from evalkit.training.corpus.settings import Collect, Source

_NAMED = 100
"""Files and rows that could not be read are named in the datasheet up to this many."""


class Skipped(BaseModel):
    """A file, or a row of one, that could not be read."""

    id: str
    reason: str


class SourceRecord(BaseModel):
    """What came from one source.

    Attributes:
        files: Files that were read; None for a data set.
        bytes: Bytes of those files.
        sha256: Hash over their names, sizes and contents, in order; None for a data set.
        documents: Texts found.
    text_bytes: Bytes of those texts in UTF-8.
        kept: Of those, the ones in the corpus.
        skipped_files, skipped_rows: Files, and rows of files, that could not be read.
        skipped: The first of them.
    """

    name: str
    licence: str | None = None
    files: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    documents: int = 0
    text_bytes: int = 0
    kept: int = 0
    skipped_files: int = 0
    skipped_rows: int = 0
    skipped: list[Skipped] = []

    def skip(self, id_: str, reason: str, stage: Stage, row: bool = False) -> None:
        """Count and name what could not be read."""
        if row:
            self.skipped_rows += 1
        else:
            self.skipped_files += 1
        if len(self.skipped) < _NAMED:
            self.skipped.append(Skipped(id=id_, reason=reason))
        stage.file.add(id_, self.name, stage.name, "unreadable", reason)


def collect(
    settings: Collect, mirror: Path | None, records: list[SourceRecord], stage: Stage
) -> Iterator[Document]:
    """Documents of all sources in the recipe's order, files by name, rows as they lie.

    Args:
        settings: The recipe's section.
        mirror: Folder in the hub's layout that data sets are read from instead of the hub.
        records: Filled with what came from each source.
        stage: Keeps the account.

    Raises:
        DataError: A source does not exist, or a data set cannot be had.
    """
    for source in settings.sources:
        record = SourceRecord(name=source.name, licence=source.licence)
        records.append(record)
        if source.path is None:
            texts = _rows_of_dataset(source, mirror, record, stage)
        else:
            texts = _texts_of_files(source, source.path, record, stage)
        for id_, text in texts:
            document = Document(id_, source.name, _encodable(text))
            record.documents += 1
            record.text_bytes += len(document.text.encode())
            yield stage.leave(document)


def check_sources(settings: Collect) -> None:
    """Raise `DataError` where a path does not exist, before anything is read."""
    for source in settings.sources:
        if source.path is not None and not source.path.exists():
            if not has_magic(str(source.path)):
                raise DataError(f"corpus.collect names {source.path}, which does not exist.")
            if not _matches(source.path):
                raise DataError(f"corpus.collect names {source.path}, which fits no file.")


def _texts_of_files(
    source: Source, path: Path, record: SourceRecord, stage: Stage
) -> Iterator[tuple[str, str]]:
    digest = hashlib.sha256()
    record.files = record.bytes = 0
    for file in files_of(path):
        name = str(file).encode("utf-8", "replace").decode()  # a name may be no text
        try:
            _check_plain(file)
            size, content = _fingerprint(file)

            def complain(row: int, reason: str, name: str = name) -> None:
                record.skip(f"{name}#{row}", reason, stage, row=True)

            for row, text in read_texts(file, source.field, complain):
                yield f"{name}#{row}", text
        except UnreadableError as error:
            record.skip(name, str(error), stage)
            continue
        record.files += 1
        record.bytes += size
        digest.update(f"{file.name}\0{size}\0".encode("utf-8", "surrogateescape") + content)
    record.sha256 = digest.hexdigest()


def files_of(path: Path) -> Iterator[Path]:
    """The files of a folder or glob by name, hidden ones left out; a file is itself."""
    if has_magic(str(path)) and not path.exists():
        yield from (file for file in _matches(path) if not file.is_dir())
    elif path.is_dir():
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))
    else:
        yield path


def _matches(pattern: Path) -> list[Path]:
    # Path.glob takes no absolute pattern.
    return sorted(Path(name) for name in glob(str(pattern), recursive=True))  # noqa: PTH207


def _check_plain(file: Path) -> None:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UnreadableError("no plain file")
    except OSError as error:
        raise UnreadableError(f"not readable ({error.strerror})") from error


def _fingerprint(file: Path) -> tuple[int, bytes]:
    """Size and hash of a file."""
    try:
        with file.open("rb") as content:
            return file.stat().st_size, hashlib.file_digest(content, "sha256").digest()
    except OSError as error:
        raise UnreadableError(f"not readable ({error.strerror})") from error


def _rows_of_dataset(
    source: Source, mirror: Path | None, record: SourceRecord, stage: Stage
) -> Iterator[tuple[str, str]]:
    name = str(source.dataset)
    rows = iter(_dataset(source, name, mirror))
    number = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # of the builder, the file system or the hub
            raise DataError(f"The data set {name} broke off at row {number}: {error}") from error
        number += 1
        text = row.get(source.field)
        if isinstance(text, str):
            yield f"{name}#{number}", text
        else:
            reason = f"no text in the field {source.field!r}; there are {', '.join(row)}"
            record.skip(f"{name}#{number}", reason, stage, row=True)


def _dataset(source: Source, name: str, mirror: Path | None) -> Any:
    """A stream of the data set's rows, from the mirror if there is one, else from the hub."""
    import datasets

    mirrored = mirror / "datasets" / name if mirror else None
    if mirrored and not mirrored.is_dir():
        raise DataError(
            f"The mirror {mirror} lacks the data set {name}; download it with: "
            f"hf download {name} --repo-type dataset --local-dir {mirrored}"
        )
    place = str(mirrored or name)
    try:
        return datasets.load_dataset(place, source.subset, split=source.split, streaming=True)
    except Exception as error:  # datasets raises errors of many libraries
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "" if mirror else "; read it from a mirror with --mirror"
        raise DataError(f"The data set {name} cannot be had ({problem}){advice}.") from error


def _encodable(text: str) -> str:
    """The text with halves of characters, which no file can hold, replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
