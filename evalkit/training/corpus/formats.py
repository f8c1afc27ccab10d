"""Readers of the kinds of files that text comes in; each yields the texts of one file in turn.

No reader holds more than a part of its file: a book is cut into parts, a table is read by groups.
"""

import bz2
import codecs
import gzip
import io
import json
import logging
import lzma
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

PART = 500_000
"""Characters after which a plain text is cut into parts, at the end of a paragraph if it has any;
some 85,000 words of English, which Gopher's bound on the length lets pass."""
_LARGEST = 64_000_000
"""Bytes of a line of JSON, or of a whole JSON or HTML file."""
_ROWS = 256
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FORMATS = {"%PDF": "PDF", "PK\x03\x04": "a zip archive or office document", "\x7fELF": "a program"}

Complaint = Callable[[int, str], None]
"""Told of a row that has no text: its number, from 1, and what is wrong."""


class UnreadableError(Exception):
    """A file, or the rest of it, cannot be read; the message says what it is instead."""


def read_texts(path: Path, field: str, complain: Complaint) -> Iterator[tuple[int, str]]:
    """The texts of a file with their rows or parts, counted from 1.

    Args:
        path: A plain file.
        field: Field of JSON and Parquet that holds the text.
        complain: Told of rows without text; the other rows are read.

    Raises:
        UnreadableError: The file is of no known kind, or damaged.
    """
    try:
        yield from _reader(path)(path, field, complain)
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UnreadableError(f"damaged or not readable ({reason})") from error


_Reader = Callable[[Path, str, Complaint], Iterator[tuple[int, str]]]


def _reader(path: Path) -> _Reader:
    suffix = path.suffix.lower()
    if suffix in _OPENERS:
        suffix = Path(path.stem).suffix.lower()
    return _READERS.get(suffix, _read_plain)


def _open(path: Path) -> IO[bytes]:
    opener: Callable[..., Any] = _OPENERS.get(path.suffix.lower(), io.open)
    file: IO[bytes] = opener(path, "rb")
    return file


def _read_plain(path: Path, field: str, complain: Complaint) -> Iterator[tuple[int, str]]:
    with _open(path) as file:
        encoding = _encoding(file.read(4096))
        file.seek(0)
        with io.TextIOWrapper(file, encoding) as text:
            try:
                yield from enumerate(_parts(text), 1)
            except UnicodeDecodeError as error:
                raise UnreadableError(f"not {error.encoding.upper()} text") from error


def _encoding(head: bytes) -> str:
    """How a text that begins so is encoded; UTF-8 unless it says otherwise."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    for magic, name in _FORMATS.items():
        if head.startswith(magic.encode("latin-1")):
            raise UnreadableError(name)
    if b"\0" in head:
        raise UnreadableError("binary")
    return "utf-8"


def _parts(text: IO[str]) -> Iterator[str]:
    rest = ""
    while chunk := text.read(PART - len(rest)):
        rest += chunk
        if len(rest) == PART:
            ends = (rest.rfind(mark, PART // 2) for mark in ("\n\n", "\n", " "))
            cut = next((end for end in ends if end > 0), PART)
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def _read_json(path: Path, field: str, complain: Complaint) -> Iterator[tuple[int, str]]:
    """JSON lines, or a file that is one object or one list of them."""
    with _open(path) as file:
        first = file.readline(_LARGEST).strip()
        file.seek(0)
        if path.suffix.lower() != ".jsonl" and (first.startswith(b"[") or first == b"{"):
            rows = _whole(file)
        else:
            rows = _lines(file)
        for number, row in rows:
            if isinstance(row, str):
                complain(number, row)
            elif isinstance(text := row.get(field), str):
                yield number, text
            else:
                complain(number, f"no text in the field {field!r}")


def _whole(file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    content = file.read(_LARGEST)
    if len(content) == _LARGEST:
        raise UnreadableError("a JSON list of more than 64 MB, which JSON lines have to be")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("not JSON") from error
    for number, row in enumerate(found if isinstance(found, list) else [found], 1):
        yield number, row if isinstance(row, dict) else "no JSON object"


def _lines(file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The row of each line, or what is wrong with it."""
    for number in count(1):
        line = file.readline(_LARGEST)
        if not line:
            return
        if len(line) == _LARGEST:
            raise UnreadableError(f"not JSON lines: line {number} is longer than 64 MB")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "not JSON"
            continue
        yield number, row if isinstance(row, dict) else "no JSON object"


def _read_parquet(path: Path, field: str, complain: Complaint) -> Iterator[tuple[int, str]]:
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as table:
        schema = table.schema_arrow
        if field not in schema.names:
            names = ", ".join(schema.names[:10])
            raise UnreadableError(f"without a field {field!r}; it has {names}")
        kind = schema.field(field).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UnreadableError(f"without text in the field {field!r}, which is {kind}")
        number = 0
        for batch in table.iter_batches(_ROWS, columns=[field]):
            for text in batch.column(0).to_pylist():
                number += 1
                if text is None:
                    complain(number, f"no text in the field {field!r}")
                else:
                    yield number, text


def _read_html(path: Path, field: str, complain: Complaint) -> Iterator[tuple[int, str]]:
    """The main text of a page, without menus, footers and comments."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    with _open(path) as file:
        page = file.read(_LARGEST)
    if len(page) == _LARGEST:
        raise UnreadableError("a page of more than 64 MB")
    try:
        text = trafilatura.extract(page, include_comments=False)
    except Exception as error:  # of the parsers below it, on pages made to break them
        raise UnreadableError(f"HTML that cannot be parsed ({type(error).__name__})") from error
    if not text:
        raise UnreadableError("HTML without a main text")
    yield 1, text


_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_READERS: dict[str, _Reader] = {
    ".json": _read_json,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".parquet": _read_parquet,
    ".html": _read_html,
    ".htm": _read_html,
    ".xhtml": _read_html,
}
