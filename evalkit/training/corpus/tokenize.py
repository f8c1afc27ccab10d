"""The last stage: trains the tokenizer on part of the corpus, and turns all of it into ids."""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import xxhash
from numpy.typing import NDArray
from pydantic import BaseModel
from transformers import PreTrainedTokenizerFast

from evalkit.errors import UsageError
from evalkit.training.corpus.document import Document, batches
from evalkit.training.corpus.settings import Tokenizer
from evalkit.training.tokenizer import UNKNOWN, train_tokenizer

_BATCH = 1_000_000
_BATCHES_OF_A_SHARD = 64


class TokenizerRecord(BaseModel):
    """The tokenizer, and how well it fits the corpus.

    Attributes:
        settings: The recipe's section.
        trained_on: Documents it was trained on.
        sha256: Hash of its definition, which is the text of tokenizer.json.
        fertility: Tokens a word, end-of-document tokens left out; words are what white space parts.
        characters_per_token: Characters a token, likewise.
        unknown_rate: Share of tokens that stand for what it has no token for.
    """

    settings: Tokenizer
    trained_on: int
    sha256: str
    fertility: float | None
    characters_per_token: float | None
    unknown_rate: float | None


@dataclass(slots=True)
class Tokenized:
    """What the tokenizer made of the corpus; the texts' hash is that of a `CorpusRecord`."""

    tokens: int = 0
    words: int = 0
    unknown: int = 0
    characters: int = 0
    held_out: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


def train_evenly(
    documents: Iterator[Document], count: int, settings: Tokenizer, context: int
) -> tuple[PreTrainedTokenizerFast, int]:
    """A tokenizer trained on documents drawn evenly from so many, and the number it was."""
    step = max(1, count // settings.passages)
    drawn = islice(documents, 0, step * settings.passages, step)
    texts = (document.text for document in drawn)
    tokenizer = train_tokenizer(
        texts, settings.vocabulary, context, settings.kind, mask=settings.mask
    )
    return tokenizer, min(settings.passages, -(-count // step))


class HeldOut:
    """Chooses the documents that are not learnt from: those whose hashes are the lowest.

    A document's hash does not change with the others, so the choice hardly does when more come in.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._hashes = array("Q")

    def see(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Take note of documents on their way."""
        for document in documents:
            self._hashes.append(_hash(document.text))
            yield document

    def __len__(self) -> int:
        return len(self._hashes)

    def flags(self) -> NDArray[np.bool_]:
        """For each document whether it is held out; one is at least if any are, but never all."""
        hashes = np.frombuffer(self._hashes, np.uint64)
        wanted = min(max(1, round(self._share * len(hashes))), len(hashes) - 1)
        flags = np.zeros(len(hashes), bool)
        if not self._share or wanted < 1:
            return flags
        flags[np.argsort(hashes, kind="stable")[:wanted]] = True
        return flags


def tokenize(
    documents: Iterator[Document],
    out: Path,
    tokenizer: PreTrainedTokenizerFast,
    held_out: NDArray[np.bool_],
) -> Tokenized:
    """Write the ids of documents, each ended by the end-of-document token.

    A special token that is spelt out in a text is taken for text.

    Args:
        documents: The corpus.
        out: New folder for Arrow files with `tokens` and `held_out`, a row a document.
        tokenizer: What makes the ids.
        held_out: For each document whether it is held out.
    """
    out.mkdir()
    account = Tokenized(held_out=int(held_out.sum()))
    narrow = len(tokenizer) <= np.iinfo(np.uint16).max + 1
    kind = pa.uint16() if narrow else pa.uint32()
    schema = pa.schema([pa.field("tokens", pa.list_(kind)), pa.field("held_out", pa.bool_())])
    groups = batches(documents, _BATCH)
    tokenizer.backend_tokenizer.encode_special_tokens = True
    at = 0
    for number, first in enumerate(groups):
        with pa.ipc.new_file(str(out / f"{number:05d}.arrow"), schema) as shard:
            for group in chain([first], islice(groups, _BATCHES_OF_A_SHARD - 1)):
                ids, offsets = _encode(group, tokenizer, account)
                values: Any = pa.array(ids).cast(kind)
                tokens = pa.ListArray.from_arrays(pa.array(offsets.tolist(), pa.int32()), values)
                flags = pa.array(held_out[at : at + len(group)])
                shard.write_batch(pa.record_batch([tokens, flags], schema=schema))
                at += len(group)
    tokenizer.backend_tokenizer.encode_special_tokens = False
    return account


def _encode(
    group: list[Document], tokenizer: PreTrainedTokenizerFast, account: Tokenized
) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Ids of some documents one after the other, and where each begins and the last ends."""
    encoded = tokenizer.backend_tokenizer.encode_batch_fast([d.text for d in group])
    parts = [np.array([*encoding.ids, tokenizer.eos_token_id], np.uint32) for encoding in encoded]
    ids = np.concatenate(parts)
    unknown = tokenizer.backend_tokenizer.token_to_id(UNKNOWN)
    if unknown is not None:
        account.unknown += int((ids == unknown).sum())
    for document in group:
        account.words += len(document.text.split())
        account.characters += len(document.text)
        account.sources[document.source] = account.sources.get(document.source, 0) + 1
        account.digest.update(document.text.encode() + b"\0")
    account.tokens += len(ids)
    return ids, np.cumsum([0, *map(len, parts)]).astype(np.int32)


def record_of(
    tokenizer: PreTrainedTokenizerFast, settings: Tokenizer, trained_on: int, found: Tokenized
) -> TokenizerRecord:
    """The tokenizer's entry in the datasheet."""
    definition = tokenizer.backend_tokenizer.to_str()
    tokens = found.tokens - sum(found.sources.values())
    return TokenizerRecord(
        settings=settings,
        trained_on=trained_on,
        sha256=hashlib.sha256(definition.encode()).hexdigest(),
        fertility=tokens / found.words if found.words else None,
        characters_per_token=found.characters / tokens if tokens else None,
        unknown_rate=found.unknown / tokens if tokens else None,
    )


def check_long_enough(tokens: int, context: int) -> None:
    """Raise `UsageError` where a corpus does not fill one sequence."""
    if tokens < context:
        raise UsageError(
            f"The corpus to learn from has {tokens} tokens, fewer than one sequence of {context} "
            "(architecture.context); collect more text or shorten the sequence."
        )


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())
