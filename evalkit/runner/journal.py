"""The journal of a run: every response on disk as it arrives, so that a killed run can go on.

One file, `<partial>/<run_id>/journal`, of lines `<crc32> <JSON>`. The first line says which run it
is and what answers it; each other line holds one response under the position of its request and
the hash of the request. What is torn or damaged is not believed: it is answered again.
"""

import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.errors import DataError, UsageError
from evalkit.results.partial import JOURNAL_NAME
from evalkit.types import Request, RequestKind, Response, digest

FORMAT = 1
# The kernel keeps what a killed process wrote; only a power cut takes what was not synchronised.
SYNC_S = 1.0

_RESPONSE = TypeAdapter(Response)


@dataclass(frozen=True, slots=True)
class Header:
    """What a journal's responses are of.

    Attributes:
        created: Start of the run, UTC, ISO 8601.
        settings: Of the run, without the store.
        identity: What the responses depend on besides the requests; see `answered_by`.
        requests: Hash of each request, in order, hashed together.
        count: Number of requests.
    """

    run_id: str
    created: str
    settings: dict[str, Any]
    identity: dict[str, str]
    requests: str
    count: int
    format: int = FORMAT


@dataclass(slots=True)
class Content:
    """What can be read of a journal.

    Attributes:
        responses: Position of the request -> its response.
        resumed: When the run was gone on with, UTC.
        spent_s: Seconds that the processes which wrote it took, to the second before they ended.
        damaged: Number of lines that cannot be believed, a torn last one aside.
        length: Bytes up to the end of the last whole line.
    """

    header: Header
    responses: dict[int, tuple[str, Response]] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)
    spent_s: float = 0.0
    damaged: int = 0
    length: int = 0


def request_keys(requests: Sequence[Request]) -> list[str]:
    """Hash of each request with its decoding settings; timed ones are told apart by position."""
    return [
        digest(
            [
                request.kind,
                request.context,
                request.continuation,
                asdict(request.decoding) if request.decoding else None,
                place if request.kind is RequestKind.TIMED else None,
            ]
        )
        for place, request in enumerate(requests)
    ]


class Journal:
    """An open journal, locked against a second process.

    Args:
        folder: The unfinished run's.
        content: What it holds already.
        file: Descriptor, at the end of the last whole line.
        made: Folders that were made for it, innermost first.

    Attributes:
        began: `perf_counter()` when this process began with the run; by default now.
    """

    def __init__(
        self, folder: Path, content: Content, file: int, made: Sequence[Path] = ()
    ) -> None:
        self.folder = folder
        self.content = content
        self._file = file
        self._made = made or [folder, folder.parent]
        self.began = self._synchronised = time.perf_counter()

    @classmethod
    def create(cls, folder: Path, header: Header) -> "Journal":
        """Begin a journal.

        Raises:
            OSError: It cannot be written.
        """
        missing = [parent for parent in folder.parent.parents if not parent.exists()]
        made = [folder, folder.parent, *missing]
        folder.mkdir(parents=True, exist_ok=False)
        file = os.open(
            folder / JOURNAL_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644
        )
        fcntl.flock(file, fcntl.LOCK_EX)
        journal = cls(folder, Content(header), file, made)
        journal._write(_line(asdict(header)))
        os.fsync(file)
        return journal

    @classmethod
    def reopen(cls, folder: Path) -> "Journal":
        """Open a journal to go on with it; a torn last line is cut off.

        Raises:
            UsageError: Another process is writing it.
            DataError: It cannot be read.
        """
        try:
            file = os.open(folder / JOURNAL_NAME, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise DataError(
                f"{folder / JOURNAL_NAME} cannot be opened: {error.strerror}."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = read_journal(folder)
            os.ftruncate(file, content.length)
        except BlockingIOError as error:
            os.close(file)
            raise UsageError(f"The run {folder.name} is still going on in another process.") from (
                error
            )
        except BaseException:
            os.close(file)
            raise
        return cls(folder, content, file)

    def mark_resumed(self, when: str) -> None:
        """Note that the run is gone on with."""
        self._write(_line({"resumed": when}))
        self.content.resumed.append(when)

    def append(self, batch: Iterable[tuple[int, str, Response]]) -> None:
        """Keep the responses of a batch, each with the position and hash of its request.

        Raises:
            OSError: The disk is full or gone; what was kept before stays readable.
        """
        lines = b"".join(
            _line({"i": index, "k": key, "r": _plain(response)}) for index, key, response in batch
        )
        now = time.perf_counter()
        is_due = now - self._synchronised >= SYNC_S
        if is_due:
            lines = _line({"spent_s": self.content.spent_s + now - self.began}) + lines
        self._write(lines)
        if is_due:
            os.fdatasync(self._file)
            self._synchronised = now

    def close(self) -> None:
        """Let go of the file; the journal stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def delete(self) -> None:
        """Remove the journal and the folders made for it, as far as nothing else lies in them."""
        (self.folder / JOURNAL_NAME).unlink(missing_ok=True)
        self.close()
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._file, rest) :]


def read_header(folder: Path) -> Header:
    """What a journal is of, from its first line: quick, however long the rest is.

    Raises:
        DataError: It cannot be read, or that line is damaged.
    """
    try:
        with (folder / JOURNAL_NAME).open("rb") as file:
            line = file.readline()
    except OSError as error:
        raise DataError(f"{folder / JOURNAL_NAME} cannot be read: {error.strerror}.") from error
    return _believed(line[:-1] if line.endswith(b"\n") else b"", folder)


def read_journal(folder: Path) -> Content:
    """What can be believed of a journal.

    Raises:
        DataError: Its first line, without which nothing is known of it, is damaged.
    """
    try:
        raw = (folder / JOURNAL_NAME).read_bytes()
    except OSError as error:
        raise DataError(f"{folder / JOURNAL_NAME} cannot be read: {error.strerror}.") from error
    length = raw.rfind(b"\n") + 1
    lines = raw[:length].split(b"\n")[:-1]
    header = _believed(lines[0] if lines else b"", folder)
    content = Content(header, length=length)
    for line in lines[1:]:
        _take(_parse(line), content)
    return content


def _believed(line: bytes, folder: Path) -> Header:
    header = _header(_parse(line))
    if header is None:
        raise DataError(
            f"The first line of {folder / JOURNAL_NAME} is damaged, so what it holds cannot be "
            f"told; remove it with 'evalkit runs delete {folder.name}' and start the run anew."
        )
    return header


def _take(record: Any, content: Content) -> None:
    """Take one record in; the first of two for the same request stands."""
    if isinstance(record, Mapping) and isinstance(record.get("resumed"), str):
        content.resumed.append(record["resumed"])
        return
    if isinstance(record, Mapping) and isinstance(record.get("spent_s"), float):
        content.spent_s = record["spent_s"]
        return
    response = _response(record.get("r")) if isinstance(record, Mapping) else None
    index = record.get("i") if response is not None else None
    if response is None or not isinstance(index, int) or not 0 <= index < content.header.count:
        content.damaged += 1
        return
    content.responses.setdefault(index, (str(record.get("k")), response))


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> Any:
    """The record of a line, or None where its checksum does not fit."""
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _header(record: Any) -> Header | None:
    names = {field.name for field in fields(Header)}
    if not isinstance(record, dict) or set(record) != names:
        return None
    kinds = {"settings": dict, "identity": dict, "count": int, "format": int}
    fits = all(isinstance(record[name], kinds.get(name, str)) for name in names)
    return Header(**record) if fits and record["format"] == FORMAT else None


def _plain(response: Response) -> dict[str, Any]:
    return {name: value for name, value in asdict(response).items() if value is not None}


def _response(values: Any) -> Response | None:
    try:
        return _RESPONSE.validate_python(values, extra="forbid")
    except ValidationError:
        return None
