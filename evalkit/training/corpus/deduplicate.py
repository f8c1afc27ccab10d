"""The third stage: drops documents that are the same as an earlier one, or nearly so.

Near duplicates are found as in Broder 1997 and in Leskovec et al., "Mining of Massive Datasets",
chapter 3: datasketch makes the MinHash of a document's shingles, which is cut into bands; documents
that agree in a band are compared by their whole MinHash.

datasketch's own index holds some kilobytes a document in memory. Here MinHashes and bands lie in
files, and one band after the other is sorted, which takes some fifty bytes a document.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from evalkit.training.corpus.document import Document, batches
from evalkit.training.corpus.ledger import Stage
from evalkit.training.corpus.settings import Deduplicate
from evalkit.training.corpus.words import hash_ngrams, hash_words, words_of

_SHINGLES_AT_ONCE = 256
_PAIRS_AT_ONCE = 8192

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Twins:
    """Which documents are the same.

    Attributes:
        first: For each document the number of the first one that is the same.
        equal: For each document the number of the first one with the same text, to the letter.
        signatures: MinHashes, one row a document; None if near duplicates are not looked for.
    """

    first: Array
    equal: Array
    signatures: Array | None


def deduplicate(documents: Iterator[Document], twins: Twins, stage: Stage) -> Iterator[Document]:
    """The documents without those that are the same as an earlier one.

    Args:
        documents: Those that were compared, in the same order.
        twins: What the comparison found.
        stage: Keeps the account.
    """
    numbers = np.arange(len(twins.first))
    leaders = {*twins.first[twins.first != numbers].tolist()}
    leaders |= {*twins.equal[twins.equal != numbers].tolist()}
    names: dict[int, str] = {}
    for number, document in enumerate(stage.enter(documents)):
        first, equal = int(twins.first[number]), int(twins.equal[number])
        if number in leaders:
            names[number] = document.id
        if first == number:
            yield stage.leave(document)
        elif equal != number:
            stage.drop(document, "exact duplicate", f"of {names[equal]}")
        else:
            alike = _similarity(twins.signatures, number, first)
            stage.drop(document, "near duplicate", f"{alike:.2f} of {names[first]}")


def find_twins(documents: Iterator[Document], work: Path, settings: Deduplicate) -> Twins:
    """Compare all documents with each other.

    Args:
        documents: What to compare.
        work: Folder for intermediate files, which `Twins.signatures` goes on to read.
        settings: The recipe's section.
    """
    work.mkdir(parents=True, exist_ok=True)
    bands = None if settings.near is None else _BandFiles(work, settings)
    digests = array("Q")
    for batch in batches(documents):
        for document in batch:
            digest = xxhash.xxh3_128_intdigest(document.text.encode())
            digests.extend((digest >> 64, digest & 0xFFFFFFFFFFFFFFFF))
        if bands:
            bands.add([document.text for document in batch])
    equal = np.arange(len(digests) // 2)
    if settings.exact and len(equal):
        equal = _first_of_equals(np.frombuffer(digests, np.uint64).reshape(-1, 2))
    if not bands or not len(equal):
        return Twins(equal, equal, None)
    signatures = bands.signatures()
    return Twins(bands.join(equal, signatures), equal, signatures)


def _first_of_equals(digests: Array) -> Array:
    """For each row the number of the first row that equals it."""
    order = np.lexsort((np.arange(len(digests)), digests[:, 1], digests[:, 0]))
    ordered = digests[order]
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    first = order[np.flatnonzero(new)][np.cumsum(new) - 1]
    labels = np.empty(len(digests), np.int64)
    labels[order] = first
    return labels


class _BandFiles:
    """MinHashes of all documents in one file, and each band of them in another."""

    def __init__(self, work: Path, settings: Deduplicate) -> None:
        self._work, self._settings = work, settings
        rows = _rows_of_a_band(float(settings.near or 0), settings.permutations)
        ends = range(rows, settings.permutations + 1, rows)
        self._bands = [(end - rows, end) for end in ends]
        self._minhash = MinHash(settings.permutations, seed=settings.seed, hashfunc=int)
        self._count = 0

    def add(self, texts: list[str]) -> None:
        """Append the MinHashes of some documents."""
        signatures = np.stack([self._signature(text) for text in texts])
        _append(self._work / "signatures", signatures)
        for number, (first, end) in enumerate(self._bands):
            _append(self._work / f"band-{number}", _row_hashes(signatures[:, first:end]))
        self._count += len(texts)

    def signatures(self) -> Array:
        """All MinHashes so far, one row a document, read from the file as they are needed."""
        shape = (self._count, self._settings.permutations)
        return np.memmap(self._work / "signatures", np.uint32, "r", shape=shape)

    def join(self, labels: Array, signatures: Array) -> Array:
        """Labels with those of near duplicates made the same: the number of the first of them.

        Args:
            labels: For each document the number of the first that equals it.
            signatures: The MinHashes.
        """
        wordless = np.iinfo(np.uint32).max
        everyone = np.flatnonzero(labels == np.arange(len(labels)))
        everyone = everyone[signatures[everyone, 0] != wordless]
        for number in range(len(self._bands)):
            hashes = np.fromfile(self._work / f"band-{number}", np.uint64)[everyone]
            leaders, members = _pairs_of_equals(hashes, everyone)
            alike = self._alike(signatures, leaders, members)
            if alike.any():
                labels = _joined(labels, leaders[alike], members[alike])
        return labels

    def _alike(self, signatures: Array, leaders: Array, members: Array) -> Array:
        """Whether the documents of each pair are as similar as asked."""
        alike = np.zeros(len(leaders), bool)
        for at in range(0, len(leaders), _PAIRS_AT_ONCE):
            part = slice(at, at + _PAIRS_AT_ONCE)
            same = signatures[leaders[part]] == signatures[members[part]]
            alike[part] = same.mean(axis=1) >= self._settings.near
        return alike

    def _signature(self, text: str) -> Array:
        words = words_of(text)
        size = min(self._settings.shingle, len(words))
        minhash = self._minhash.copy()
        if size:
            shingles = hash_ngrams(hash_words(words), size) >> np.uint64(32)
            for at in range(0, len(shingles), _SHINGLES_AT_ONCE):
                minhash.update_batch(shingles[at : at + _SHINGLES_AT_ONCE].tolist())
        values: Array = minhash.hashvalues
        return values


def _rows_of_a_band(near: float, permutations: int) -> int:
    """Values that documents must agree in to be compared.

    datasketch balances the two errors; here one that is overlooked weighs most, for one that is
    found in vain only costs a comparison.
    """
    try:
        return int(MinHashLSH(near, permutations, weights=(0.1, 0.9)).r)
    except ValueError:  # it would take a single band, which is no index
        return permutations // 2


def _append(path: Path, values: Array) -> None:
    with path.open("ab") as file:
        file.write(np.ascontiguousarray(values).tobytes())


def _row_hashes(rows: Array) -> Array:
    """A 64-bit hash of each row."""
    return np.array([xxhash.xxh3_64_intdigest(row.tobytes()) for row in rows], np.uint64)


def _pairs_of_equals(hashes: Array, numbers: Array) -> tuple[Array, Array]:
    """Of documents with equal hashes, the first paired with each of the others."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = order[np.flatnonzero(new)][np.cumsum(new) - 1]
    return numbers[first[~new]], numbers[order[~new]]


def _joined(labels: Array, ones: Array, others: Array) -> Array:
    """Labels after some pairs were found to be the same: the lowest number of each group."""
    count = len(labels)
    rows = np.concatenate([np.arange(count), ones])
    columns = np.concatenate([labels, others])
    links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (count, count))
    _, groups = connected_components(links, directed=False)
    _, firsts = np.unique(groups, return_index=True)
    joined: Array = firsts[groups]
    return joined


def _similarity(signatures: Array | None, one: int, other: int) -> float:
    """Estimated Jaccard similarity of two documents' shingles."""
    assert signatures is not None  # noqa: S101 - only near duplicates are asked for
    return float((signatures[one] == signatures[other]).mean())
