"""From the recipe's corpus to the sequences that a model is trained and measured on."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from evalkit.errors import UsageError
from evalkit.progress import progress_bar
from evalkit.training.manifest import CorpusRecord
from evalkit.training.objectives import form_causal, form_masked
from evalkit.training.packing import Ids, Stream, pack
from evalkit.training.recipe import MicroWorld, Recipe
from evalkit.training.tokenizer import train_tokenizer
from evalkit.training.world.corpus import corpus
from evalkit.training.world.passage import Passage
from evalkit.training.world.world import World

if TYPE_CHECKING:
    from evalkit.training.corpus import TaskText

_ENCODED_AT_ONCE = 512
_SHOWN_TOKENS = 16


class Source(Protocol):
    """Token ids of sequences by their place in the order in which they are seen."""

    def __getitem__(self, index: int) -> Ids: ...


@dataclass(frozen=True, slots=True)
class Packed:
    """Sequences in memory.

    Attributes:
        ids: Token ids, shape (sequences, context); anything beyond a sequence's length.
        lengths: Tokens in each.
    """

    ids: Ids
    lengths: Ids

    def __getitem__(self, index: int) -> Ids:
        return self.ids[index, : self.lengths[index]]


@dataclass(frozen=True, slots=True)
class Sequences:
    """A data set as Trainer takes it: inputs and labels of one sequence, by its place.

    Attributes:
        source: Their token ids.
        count: How many there are.
        form: Makes inputs and labels of token ids and their place.
    """

    source: Source
    count: int
    context: int
    form: Callable[[Ids, int], dict[str, torch.Tensor]]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.form(self.source[index], index)

    def tokens_in(self, sequences: int) -> int:
        """Tokens in the first so many sequences, padding left out."""
        if isinstance(self.source, Packed):
            return int(self.source.lengths[:sequences].sum())
        return sequences * self.context


@dataclass(frozen=True, slots=True)
class TrainingData:
    """All that is seen in a training.

    Attributes:
        train: Sequences in the order in which they are learnt from.
        held_out: Sequences that are only measured, if any.
        record: What the corpus was.
    """

    tokenizer: PreTrainedTokenizerFast
    train: Sequences
    held_out: Sequences | None
    record: CorpusRecord

    def beginning(self, sequence: int) -> str:
        """The first words of a training sequence, for people."""
        text = str(self.tokenizer.decode(self.train.source[sequence][:_SHOWN_TOKENS]))
        return " ".join(text.split())[:60]


def prepare_data(
    recipe: Recipe, out: Path, tests: "Iterable[TaskText]" = (), mirror: Path | None = None
) -> TrainingData:
    """Generate or open the corpus, with its tokenizer, and lay out all that is needed.

    Args:
        recipe: What to read.
        out: Folder of the series; a text corpus is made in its folder `corpus`, once.
        tests: Texts that must not be learnt from, for `corpus.decontaminate`.
        mirror: Folder in the hub's layout that data sets are read from.

    Raises:
        UsageError: The corpus is too small for the recipe.
    """
    if isinstance(recipe.corpus, MicroWorld):
        return _of_world(recipe, recipe.corpus)
    return _of_text(recipe, out, tests, mirror)


def _of_world(recipe: Recipe, choice: MicroWorld) -> TrainingData:
    tokenizer = train_tokenizer(
        (passage.text for passage in islice(_unplanted(choice), recipe.tokenizer.passages)),
        recipe.tokenizer.vocabulary,
        recipe.architecture.context,
        recipe.tokenizer.kind,
        recipe.tokenizer.mask,
    )
    form = _form(recipe, tokenizer)
    reader = _Reader(tokenizer)
    laid = _lay(reader.documents(_passages(choice)), recipe)
    count = recipe.pretraining.steps * recipe.pretraining.batch_size
    train = _packed(laid, count, recipe, form)
    record = reader.record()
    more = recipe.watch.held_out
    return TrainingData(
        tokenizer, train, _packed(laid, more, recipe, form) if more else None, record
    )


def _of_text(
    recipe: Recipe, out: Path, tests: "Iterable[TaskText]", mirror: Path | None
) -> TrainingData:
    from evalkit.training.text import open_text

    reader = open_text(recipe, out, tests, mirror)
    context, seed = recipe.architecture.context, recipe.pretraining.seed
    tokenizer = reader.tokenizer(context)
    form = _form(recipe, tokenizer)
    count = recipe.pretraining.steps * recipe.pretraining.batch_size
    if recipe.pretraining.packing == "documents":
        walk = (document.tolist() for document in reader.train.walk(seed))
        train = _packed(pack(walk, context), count, recipe, form)
    else:
        train = Sequences(Stream(reader.train, context, seed), count, context, form)
    held_out = None
    if recipe.watch.held_out:
        most = min(recipe.watch.held_out, reader.held_out.tokens // context)
        held_out = Sequences(Stream(reader.held_out, context, None), most, context, form)
    record = CorpusRecord(
        sha256=reader.sha256,
        passages=reader.passages,
        characters=reader.characters,
        tokens=reader.tokens,
        folder=str(reader.folder),
    )
    return TrainingData(tokenizer, train, held_out, record)


def _form(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast
) -> Callable[[Ids, int], dict[str, torch.Tensor]]:
    """How the recipe's objective makes inputs and labels of token ids."""
    context, chosen = recipe.architecture.context, recipe.pretraining
    if chosen.objective == "causal":
        return form_causal(context, tokenizer.eos_token_id)
    if tokenizer.mask_token_id is None:
        raise UsageError(
            "pretraining.objective = masked needs a mask token; set tokenizer.mask to true."
        )
    return form_masked(context, tokenizer, chosen.mask_share, chosen.seed)


def _lay(documents: Iterator[list[int]], recipe: Recipe) -> Iterator[list[int]]:
    """Sequences of the recipe's packing, from documents that come one after the other."""
    length = recipe.architecture.context
    if recipe.pretraining.packing != "stream":
        yield from pack(documents, length)
        return
    rest: list[int] = []
    for document in documents:
        rest += document
        while len(rest) >= length:
            yield rest[:length]
            rest = rest[length:]


def _packed(
    sequences: Iterator[list[int]],
    count: int,
    recipe: Recipe,
    form: Callable[[Ids, int], dict[str, torch.Tensor]],
) -> Sequences:
    context = recipe.architecture.context
    ids = np.zeros((count, context), np.int32)
    lengths = np.zeros(count, np.int32)
    taken = islice(sequences, count)
    with progress_bar(count, "preparing the corpus", "seq") as bar:
        for row, sequence in enumerate(taken):
            ids[row, : len(sequence)] = sequence
            lengths[row] = len(sequence)
            bar.update()
    return Sequences(Packed(ids, lengths), count, context, form)


def _passages(choice: MicroWorld) -> Iterator[Passage]:
    return corpus(World(choice.seed), choice, choice.shares)


def _unplanted(choice: MicroWorld) -> Iterator[Passage]:
    """The world with the usual knobs, for a tokenizer that does not depend on what is planted.

    Else checkpoints with different effects would split names differently and learn them at
    another pace: an effect would move what has nothing to do with it.
    """
    return corpus(World(choice.seed), None, choice.shares)


@dataclass(slots=True)
class _Reader:
    """Encodes passages and keeps account of what it read."""

    tokenizer: PreTrainedTokenizerFast
    kinds: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    tokens: int = 0
    hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def documents(self, passages: Iterator[Passage]) -> Iterator[list[int]]:
        """Token ids of each passage, with the end-of-document token."""
        end = self.tokenizer.eos_token_id
        while batch := list(islice(passages, _ENCODED_AT_ONCE)):
            encoded = self.tokenizer.backend_tokenizer.encode_batch_fast(
                [passage.text for passage in batch]
            )
            for passage, encoding in zip(batch, encoded, strict=True):
                self._account(passage, len(encoding.ids) + 1)
                yield [*encoding.ids, end]

    def record(self) -> CorpusRecord:
        """What was read so far."""
        return CorpusRecord(
            sha256=self.hash.hexdigest(),
            passages=dict(sorted(self.kinds.items())),
            characters=self.characters,
            tokens=self.tokens,
        )

    def _account(self, passage: Passage, tokens: int) -> None:
        self.kinds[passage.kind] += 1
        self.characters += len(passage.text)
        self.tokens += tokens
        self.hash.update(passage.text.encode() + b"\0")
