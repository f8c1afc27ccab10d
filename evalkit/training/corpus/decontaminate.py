"""The fourth stage: drops documents that share n words in a row with a task, and lists them.

The measure is that of GPT-3 (Brown et al. 2020, appendix C): 13 words in a row without case and
punctuation; a test with fewer words, but at least 8, is looked for whole. Shorter ones cannot be
told from common phrases and are counted as such.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from evalkit.training.corpus.document import Document
from evalkit.training.corpus.ledger import Stage
from evalkit.training.corpus.settings import Decontaminate
from evalkit.training.corpus.words import Hashes, hash_ngrams, hash_words, words_of


@dataclass(frozen=True, slots=True)
class TaskText:
    """A text of a task that must not be learnt: a question, a passage, a solved prompt."""

    task: str
    text: str


class TaskRecord(BaseModel):
    """What was looked for of one task, and found.

    Attributes:
        texts: Its texts that were looked for.
        too_short: Its texts that have too few words to be looked for.
        sha256: Hash over all its texts in order, each followed by a zero byte.
        documents: Documents dropped because they share words with it.
    """

    texts: int = 0
    too_short: int = 0
    sha256: str = ""
    documents: int = 0


@dataclass(frozen=True, slots=True)
class _Grams:
    """Sorted hashes of all n-grams of one length, and the number of the task of each."""

    hashes: Hashes
    tasks: NDArray[np.int32]


class Forbidden:
    """The n-grams of some tasks' texts.

    Attributes:
        records: Task -> what is looked for of it.
    """

    def __init__(self, texts: Iterable[TaskText], settings: Decontaminate) -> None:
        self.records: dict[str, TaskRecord] = {}
        digests: dict[str, Any] = {}
        hashes: dict[int, list[Hashes]] = {}
        tasks: dict[int, list[NDArray[np.int32]]] = {}
        for item in texts:
            record = self.records.setdefault(item.task, TaskRecord())
            digest = digests.setdefault(item.task, hashlib.sha256())
            digest.update(item.text.encode("utf-8", "replace") + b"\0")
            words = words_of(item.text)
            if len(words) < min(settings.shortest, settings.ngram):
                record.too_short += 1
                continue
            record.texts += 1
            size = min(len(words), settings.ngram)
            found = np.unique(hash_ngrams(hash_words(words), size))
            number = list(self.records).index(item.task)
            hashes.setdefault(size, []).append(found)
            tasks.setdefault(size, []).append(np.full(len(found), number, np.int32))
        for task, digest in digests.items():
            self.records[task].sha256 = digest.hexdigest()
        self._grams = {
            size: _sorted(np.concatenate(hashes[size]), np.concatenate(tasks[size]))
            for size in sorted(hashes)
        }

    def found_in(self, text: str) -> tuple[str, str] | None:
        """A task that the text shares words with, and those words; None if there is none."""
        words = words_of(text)
        hashes = hash_words(words)
        for size, grams in self._grams.items():
            mine = hash_ngrams(hashes, size)
            places = np.searchsorted(grams.hashes, mine)
            places[places == len(grams.hashes)] = 0
            hits = np.flatnonzero(grams.hashes[places] == mine)
            if len(hits):
                first = int(hits[0])
                task = list(self.records)[int(grams.tasks[places[first]])]
                return task, " ".join(words[first : first + size])
        return None


def decontaminate(
    documents: Iterator[Document], known: Forbidden, stage: Stage
) -> Iterator[Document]:
    """The documents that share no words with the tests."""
    for document in stage.enter(documents):
        found = known.found_in(document.text) if known.records else None
        if found is None:
            yield stage.leave(document)
            continue
        task, shared = found
        known.records[task].documents += 1
        stage.drop(document, f"contaminated by {task}", shared)


def _sorted(hashes: Hashes, tasks: NDArray[np.int32]) -> _Grams:
    distinct, firsts = np.unique(hashes, return_index=True)
    return _Grams(distinct, tasks[firsts])
