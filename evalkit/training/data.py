"""From the recipe's corpus to the tensor the model is trained on."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from evalkit.training.checkpoint import CorpusRecord
from evalkit.training.packing import pack
from evalkit.training.recipe import Recipe
from evalkit.training.tokenizer import train_tokenizer
from evalkit.training.world.corpus import corpus
from evalkit.training.world.passage import Passage
from evalkit.training.world.world import World

IGNORED = -100
"""Label of a position that nothing is learnt from."""
_ENCODED_AT_ONCE = 512


@dataclass(slots=True)
class TrainingData:
    """Packed sequences in the order they are seen.

    Attributes:
        inputs: Token ids, shape (sequences, context); padded with the end-of-document token.
        labels: The same, with `IGNORED` where the sequence is padded.
    """

    tokenizer: PreTrainedTokenizerFast
    inputs: torch.Tensor
    labels: torch.Tensor
    record: CorpusRecord

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.inputs[index], "labels": self.labels[index]}

    def tokens_in(self, sequences: int) -> int:
        """Tokens in the first so many sequences, padding left out."""
        return int((self.labels[:sequences] != IGNORED).sum())


def prepare_data(recipe: Recipe) -> TrainingData:
    """Generate the corpus, train the tokenizer on its beginning, and pack all that is needed."""
    tokenizer = train_tokenizer(
        (passage.text for passage in islice(_passages(recipe), recipe.tokenizer.passages)),
        recipe.tokenizer.vocabulary,
        recipe.architecture.context,
    )
    count = recipe.pretraining.steps * recipe.pretraining.batch_size
    context = recipe.architecture.context
    reader = _Reader(tokenizer)
    inputs = torch.full((count, context), tokenizer.eos_token_id)
    labels = torch.full((count, context), IGNORED)
    sequences = islice(pack(reader.documents(_passages(recipe)), context), count)
    progress = tqdm(sequences, "preparing the corpus", count, unit="seq", delay=2, leave=False)
    for row, sequence in enumerate(progress):
        ids = torch.tensor(sequence)
        inputs[row, : len(ids)] = ids
        labels[row, : len(ids)] = ids
    return TrainingData(tokenizer, inputs, labels, reader.record())


def _passages(recipe: Recipe) -> Iterator[Passage]:
    return corpus(World(recipe.corpus.seed), recipe.corpus)


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
