"""Lines that many documents have in common: notices, menus, signatures."""

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import xxhash

_THREE_WORDS = re.compile(r"[^\W\d_][\W\d_]+[^\W\d_]+[\W\d_]+[^\W\d_]")
_LONGEST = 500
_AT_ONCE = 1 << 23
"""Line hashes held at once while they are counted."""


class LineFile:
    """A file of the hashes of all documents' lines, each once a document, for counting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")

    def add(self, text: str) -> None:
        """Note the lines of a document."""
        array("Q", {_hash(line) for line in text.split("\n") if _counts(line)}).tofile(self._file)

    def frequent(self, documents: int) -> set[int]:
        """Hashes of the lines that at least so many documents have; the file is closed.

        The hashes are counted in parts, by their remainder, so that memory is bounded.
        """
        self._file.close()
        if not self._path.stat().st_size:
            return set()
        hashes = np.memmap(self._path, np.uint64, "r")
        parts = -(-len(hashes) // _AT_ONCE)
        found: set[int] = set()
        for part in range(parts):
            chunks = (hashes[at : at + _AT_ONCE] for at in range(0, len(hashes), _AT_ONCE))
            mine = np.concatenate([chunk[chunk % np.uint64(parts) == part] for chunk in chunks])
            values, counts = np.unique(mine, return_counts=True)
            found.update(values[counts >= documents].tolist())
        return found


class Boilerplate:
    """Takes frequent lines out of documents, except where each is met for the first time.

    So nothing is lost altogether, and of documents that are copies of each other one stays whole.
    """

    def __init__(self, frequent: set[int]) -> None:
        self._frequent = frequent
        self._met: set[int] = set()

    def remove(self, text: str) -> tuple[str, list[str]]:
        """The text without such lines, and those lines."""
        if not self._frequent:
            return text, []
        removed: list[str] = []
        kept = "\n".join(self._kept(text, removed))
        return (kept, removed) if removed else (text, [])

    def _kept(self, text: str, removed: list[str]) -> Iterator[str]:
        new = set()
        for line in text.split("\n"):
            if _counts(line) and (hashed := _hash(line)) in self._frequent:
                if hashed in self._met:
                    removed.append(line)
                    continue
                new.add(hashed)
            yield line
        self._met |= new


def _counts(line: str) -> bool:
    """Whether a line is long enough to be told from other text, and short enough for a notice."""
    return len(line) <= _LONGEST and _THREE_WORDS.search(line) is not None


def _hash(line: str) -> int:
    return xxhash.xxh3_64_intdigest(line.strip().encode())
