"""A prepared corpus as training reads it: token ids of documents, in any order, from any place.

    reader = CorpusReader.open(out / "corpus")
    reader.train, reader.held_out     # sequences of documents; len() and [index]
    reader.train[7]                   # np.ndarray of uint16 or uint32, its end-of-document last
    reader.train.walk(seed=0, start=12_345)   # an endless stream that can be taken up anywhere
    reader.tokenizer(context)         # PreTrainedTokenizerFast
    reader.sha256, reader.passages, reader.characters, reader.tokens   # a CorpusRecord's fields

`walk` goes through all documents in an order drawn from the seed and the round, then through
another: position `start` of it is the same document whoever asks, so that a position in the stream
is all that has to be saved to go on. The ids stay on disk: the files are mapped into memory, and a
document is a view of its place in them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.training.corpus.datasheet import DATASHEET_NAME, Datasheet
from evalkit.training.corpus.settings import TextCorpus, Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZER_NAME = "tokenizer.json"
TOKENS_FOLDER = "tokens"
DOCUMENTS_FOLDER = "documents"

Ids = NDArray[Any]


class Documents(Sequence[Ids]):
    """Token ids of some documents, each with its end-of-document token."""

    def __init__(self, shards: "_Shards", places: Ids) -> None:
        self._shards, self._places = shards, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Ids: ...
    @overload
    def __getitem__(self, index: slice) -> "Documents": ...
    def __getitem__(self, index: int | slice) -> "Ids | Documents":
        if isinstance(index, slice):
            return Documents(self._shards, self._places[index])
        return self._shards.document(int(self._places[index]))

    @cached_property
    def lengths(self) -> Ids:
        """Tokens in each of them."""
        return self._shards.lengths[self._places]

    @cached_property
    def tokens(self) -> int:
        """Tokens in all of them."""
        return int(self.lengths.sum())

    def order(self, seed: int | None, round_: int = 0) -> Ids:
        """Indices in the order of a round; as they lie if there is no seed."""
        if seed is None:
            return np.arange(len(self))
        return np.random.default_rng([seed, round_]).permutation(len(self))

    def walk(self, seed: int | None = None, start: int = 0) -> Iterator[Ids]:
        """Documents without end, round after round, from a position in that stream on.

        Args:
            seed: Seed of the rounds' orders; None for the order in which they lie.
            start: Documents of the stream to leave out, any number of rounds.

        Raises:
            DataError: There are no documents.
        """
        if not len(self):
            raise DataError("The corpus has no documents of this part; see corpus.held_out.")
        first, skipped = divmod(start, len(self))
        for round_ in count(first):
            for index in self.order(seed, round_)[skipped:]:
                yield self[int(index)]
            skipped = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some documents of a shard: where each begins, and all their ids."""

    offsets: Ids
    ids: Ids


class _Shards:
    """The token files of a corpus, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        self._batches: list[_Batch] = []
        held_out = []
        for path in sorted(folder.glob("*.arrow")):
            with pa.ipc.open_file(pa.memory_map(str(path))) as file:
                for number in range(file.num_record_batches):
                    batch = file.get_batch(number)
                    tokens: Any = batch.column("tokens")
                    offsets = tokens.offsets.to_numpy()
                    self._batches.append(_Batch(offsets, tokens.values.to_numpy()))
                    held_out.append(batch.column("held_out").to_numpy(zero_copy_only=False))
        if not self._batches:
            raise DataError(f"{folder} holds no token files.")
        self.held_out: Ids = np.concatenate(held_out)
        self.lengths: Ids = np.concatenate([np.diff(batch.offsets) for batch in self._batches])
        self._firsts = np.cumsum([0, *(len(batch.offsets) - 1 for batch in self._batches)])

    def document(self, number: int) -> Ids:
        """Ids of the document at a place in the corpus."""
        at = int(np.searchsorted(self._firsts, number, side="right")) - 1
        batch, row = self._batches[at], number - int(self._firsts[at])
        return batch.ids[batch.offsets[row] : batch.offsets[row + 1]]


class CorpusReader:
    """A prepared corpus; open it with `CorpusReader.open(folder)`.

    Attributes:
        folder: Where it is.
        datasheet: How it came to be, with its counts and hashes.
        train: Documents to learn from.
        held_out: Documents set aside to measure the loss on; empty if the recipe sets none aside.
    """

    def __init__(self, folder: Path, datasheet: Datasheet) -> None:
        self.folder, self.datasheet = folder, datasheet
        shards = _Shards(folder / TOKENS_FOLDER)
        self.train = Documents(shards, np.flatnonzero(~shards.held_out))
        self.held_out = Documents(shards, np.flatnonzero(shards.held_out))
        found = len(shards.lengths), int(shards.lengths.sum())
        if found != (datasheet.documents, datasheet.tokens):
            raise DataError(
                f"{folder} has {found[0]} documents of {found[1]} tokens, and its datasheet "
                f"{datasheet.documents} of {datasheet.tokens}: it was changed since it was made."
            )

    @classmethod
    def open(cls, folder: Path) -> "CorpusReader":
        """Open a corpus that `evalkit corpus` made.

        Raises:
            DataError: There is none, or it is damaged.
        """
        sheet = Datasheet.read(folder / DATASHEET_NAME)
        try:
            return cls(folder, sheet)
        except (OSError, pa.ArrowException, KeyError) as error:
            raise DataError(f"The corpus {folder} cannot be read: {error}.") from error

    @property
    def sha256(self) -> str:
        """Hash over the texts of all documents in order, each followed by a zero byte."""
        return self.datasheet.sha256

    @property
    def passages(self) -> dict[str, int]:
        """Source -> documents from it."""
        return {source.name: source.kept for source in self.datasheet.sources}

    @property
    def characters(self) -> int:
        """Characters in all documents."""
        return self.datasheet.characters

    @property
    def tokens(self) -> int:
        """Tokens in all documents, one end-of-document token each included."""
        return self.datasheet.tokens

    def made_from(self, corpus: TextCorpus, tokenizer: Tokenizer) -> bool:
        """Whether it was made from these settings."""
        return self.datasheet.corpus == corpus and self.datasheet.tokenizer.settings == tokenizer

    def tokenizer(self, context: int) -> "PreTrainedTokenizerFast":
        """Its tokenizer, for a model whose longest sequence has `context` tokens."""
        from evalkit.training.tokenizer import load_tokenizer

        return load_tokenizer(self.folder / TOKENIZER_NAME, context)

    def texts(self) -> Iterator[str]:
        """The documents themselves, in the order in which they lie."""
        from evalkit.training.corpus.document import read_documents

        for document in read_documents(self.folder / DOCUMENTS_FOLDER):
            yield document.text
