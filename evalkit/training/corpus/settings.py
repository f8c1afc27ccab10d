"""The sections of a recipe that say how a text corpus is made; none of them needs torch.

A recipe's `corpus` is one of three: the micro-world, a `TextCorpus` (it has the key `collect`), or
a `Prepared` one (it has the key `prepared`). `evalkit corpus RECIPE --out OUT` makes `OUT/corpus`;
`evalkit train RECIPE --out OUT` takes `OUT/corpus` if it is there and was made from the same
settings, and else makes it:

    from evalkit.training.corpus import CorpusReader, prepare_corpus

    reader = prepare_corpus(recipe.corpus, recipe.tokenizer, out / "corpus", context=..., tests=...)
    reader = CorpusReader.open(out / "corpus")        # one that is there already
    reader.made_from(recipe.corpus, recipe.tokenizer)  # whether it is the one wanted

See `reader.py` for what it yields. `prepare_corpus` asks no registry: a face passes it the texts of
the tasks in `decontaminate.tasks`, which `evalkit.cli.task_texts` finds.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of a recipe: nothing unknown in it, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """One place that text comes from: files, or a data set by its name."""

    path: Path | None = Field(
        None, description="folder, file or glob: text, JSONL, Parquet or HTML, gz, bz2 or xz too"
    )
    dataset: str | None = Field(
        None, description="org/name of a data set in the mirror or on the hub, instead of a path"
    )
    subset: str | None = Field(None, description="configuration of the data set")
    split: str = Field("train", description="split of the data set")
    field: str = Field("text", description="field of JSONL, Parquet or a data set with the text")
    licence: str | None = Field(None, description="licence of the text, for the datasheet")

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _one_of_two(self) -> "Source":
        if (self.path is None) == (self.dataset is None):
            raise ValueError("a source has either a path or a dataset")
        return self

    @property
    def name(self) -> str:
        """What the datasheet calls it."""
        return str(self.path or self.dataset)


class Collect(Section):
    """Where the text comes from."""

    sources: tuple[Source, ...] = Field(
        min_length=1, description="paths, or mappings with path or dataset, field and licence"
    )


class Clean(Section):
    """What is mended, masked and left out; each of it is counted, with ten examples."""

    unicode: bool = Field(True, description="mend encodings and normalise Unicode (NFC), by ftfy")
    straight_quotes: bool = Field(True, description="make curly quotes straight")
    boilerplate: int = Field(
        10, ge=0, description="drop lines found in so many documents; 0 for none"
    )
    languages: tuple[str, ...] = Field(
        ("en",), description="ISO 639-1 codes of the languages kept; empty for all"
    )
    min_words: int = Field(50, ge=0, description="documents with fewer words are dropped (Gopher)")
    max_words: int = Field(100_000, ge=1, description="documents with more are dropped (Gopher)")
    gibberish: bool = Field(True, description="drop by Gopher's rules of words and symbols")
    repetition: bool = Field(True, description="drop by Gopher's rules of repeated text")
    bad_words: Path | None = Field(
        None, description="file with a word or phrase a line; documents with one are dropped"
    )
    pii: tuple[Literal["mail", "phone", "ip", "card"], ...] = Field(
        ("mail", "phone", "ip", "card"), description="personal data that is masked"
    )
    phone_regions: tuple[str, ...] = Field(
        ("US", "GB"), description="countries whose numbers are known without a country code"
    )


class Deduplicate(Section):
    """Which documents are held to be the same, over all sources; the first of them is kept."""

    exact: bool = Field(True, description="drop documents whose text is another's")
    near: float | None = Field(
        0.8, gt=0, le=1, description="drop at this Jaccard similarity; null for none"
    )
    shingle: int = Field(5, ge=1, description="words in the pieces that are compared")
    permutations: int = Field(128, ge=16, le=1024, description="values of a document's MinHash")
    seed: int = Field(1, ge=0, description="seed of the hash functions")


class Decontaminate(Section):
    """Tasks whose documents must not be learnt from."""

    tasks: tuple[str, ...] = Field((), description="tasks, globs or suites that evalkit knows")
    ngram: int = Field(13, ge=2, description="words in a row that give a test away (GPT-3)")
    shortest: int = Field(
        8, ge=2, description="a shorter test is looked for whole if it has so many words (GPT-3)"
    )


class TextCorpus(Section):
    """Text of your own to learn from."""

    collect: Collect = Field(description="where the text comes from")
    clean: Clean = Field(default_factory=Clean, description="what is mended and left out")
    deduplicate: Deduplicate = Field(default_factory=Deduplicate, description="what is the same")
    decontaminate: Decontaminate = Field(default_factory=Decontaminate, description="tests")
    held_out: float = Field(
        0.01, ge=0, lt=1, description="share of documents that are not learnt from but measured"
    )


class Prepared(Section):
    """A corpus that `evalkit corpus` has made already."""

    prepared: Path = Field(description="its folder, the one that holds datasheet.json")


class Tokenizer(Section):
    """The tokenizer, trained on part of the corpus."""

    kind: Literal["byte_bpe", "bpe", "wordpiece", "unigram"] = Field(
        "byte_bpe", description="byte_bpe, bpe, wordpiece or unigram"
    )
    vocabulary: int = Field(2048, ge=300, le=1_000_000, description="number of tokens")
    passages: int = Field(4000, ge=1, description="passages of the corpus it is trained on")
    mask: bool = Field(False, description="add a mask token, for the masked objective")
