"""Opens the recipe's text corpus, and makes it first where it is not there yet."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.training.corpus.reader import CorpusReader
from evalkit.training.corpus.settings import Prepared, TextCorpus
from evalkit.training.recipe import Recipe

if TYPE_CHECKING:
    from evalkit.training.corpus import TaskText

CORPUS_FOLDER = "corpus"


def open_text(
    recipe: Recipe, out: Path, tests: "Iterable[TaskText]" = (), mirror: Path | None = None
) -> CorpusReader:
    """The corpus that the recipe names, or the one in `out/corpus`, made if need be.

    Args:
        recipe: Names the corpus or says how it is made.
        out: Folder of the series.
        tests: Texts of tasks for `corpus.decontaminate`.
        mirror: Folder in the hub's layout that data sets are read from.

    Raises:
        UsageError: There is too little text, or `out/corpus` is another one.
    """
    choice = recipe.corpus
    if isinstance(choice, Prepared):
        reader = CorpusReader.open(choice.prepared)
    elif isinstance(choice, TextCorpus):
        reader = _made(recipe, choice, out / CORPUS_FOLDER, tests, mirror)
    else:
        raise TypeError(f"{type(choice).__name__} is no text corpus")
    _check(recipe, reader)
    return reader


def _made(
    recipe: Recipe,
    choice: TextCorpus,
    folder: Path,
    tests: "Iterable[TaskText]",
    mirror: Path | None,
) -> CorpusReader:
    if not folder.exists():
        from evalkit.training.corpus import prepare_corpus

        return prepare_corpus(
            choice,
            recipe.tokenizer,
            folder,
            context=recipe.architecture.context,
            tests=tests,
            mirror=mirror,
        )
    reader = CorpusReader.open(folder)
    if not reader.made_from(choice, recipe.tokenizer):
        raise UsageError(
            f"{folder} was made from other settings than the recipe's; choose another folder with "
            "--out, or delete it first."
        )
    return reader


def _check(recipe: Recipe, reader: CorpusReader) -> None:
    """What the recipe asks and the text cannot give."""
    context = recipe.architecture.context
    if reader.train.tokens < context:
        raise UsageError(
            f"The corpus has {reader.train.tokens:,} tokens to learn from, fewer than one sequence "
            f"of architecture.context = {context}; add text or shorten the context."
        )
    if recipe.watch.held_out and reader.held_out.tokens < context:
        raise UsageError(
            f"watch.held_out = {recipe.watch.held_out}, but the corpus sets aside "
            f"{reader.held_out.tokens:,} tokens, fewer than one sequence; raise corpus.held_out, "
            "or set watch.held_out to 0."
        )
