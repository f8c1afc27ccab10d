"""From raw text to token ids with a pedigree: `evalkit corpus RECIPE`.

`prepare_corpus` runs the stages, one file each: `collect`, `clean`, `deduplicate`, `decontaminate`,
`tokenize`, and `datasheet`, which describes what the others did. Every stage reads the documents
that the one before it wrote and writes its own, so that a corpus may be larger than memory.
`CorpusReader` is what training reads.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.training.corpus.settings import (
    Clean,
    Collect,
    Decontaminate,
    Deduplicate,
    Prepared,
    Source,
    TextCorpus,
    Tokenizer,
)

if TYPE_CHECKING:
    from evalkit.training.corpus.datasheet import Datasheet
    from evalkit.training.corpus.decontaminate import TaskText
    from evalkit.training.corpus.prepare import prepare_corpus
    from evalkit.training.corpus.reader import CorpusReader

__all__ = [
    "Clean",
    "Collect",
    "CorpusReader",
    "Datasheet",
    "Decontaminate",
    "Deduplicate",
    "Prepared",
    "Source",
    "TaskText",
    "TextCorpus",
    "Tokenizer",
    "prepare_corpus",
]

_HOMES = {
    "CorpusReader": "reader",
    "Datasheet": "datasheet",
    "TaskText": "decontaminate",
    "prepare_corpus": "prepare",
}


def __getattr__(name: str) -> Any:
    """Load what reads and writes files on first use, so that reading a recipe does not."""
    if name in _HOMES:
        return getattr(import_module(f"evalkit.training.corpus.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'evalkit.training.corpus' has no attribute {name!r}")
