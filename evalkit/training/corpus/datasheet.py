"""The datasheet of a corpus: what it is made of, what was done to it, and how it can be told.

It follows "Datasheets for Datasets" (Gebru et al. 2021) in what a program can know: composition,
collection, cleaning. `datasheet.json` is for programs, `datasheet.md` for people.
"""

import html
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from tabulate import tabulate

from evalkit.errors import DataError
from evalkit.training.corpus.collect import SourceRecord
from evalkit.training.corpus.decontaminate import TaskRecord
from evalkit.training.corpus.ledger import StageRecord, Tally
from evalkit.training.corpus.settings import TextCorpus
from evalkit.training.corpus.tokenize import TokenizerRecord

DATASHEET_NAME = "datasheet.json"
_MARKDOWN_NAME = "datasheet.md"
_EXAMPLES_SHOWN = 3


class Datasheet(BaseModel):
    """What is known of a corpus.

    Attributes:
        created: UTC time, ISO 8601.
        libraries: Versions of what decided about the text.
        corpus: The recipe's section it was made from.
        documents: Documents in it, those held out included; likewise the figures below.
        held_out: Documents that are not learnt from but measured.
        words: What white space parts.
        tokens: With one end-of-document token a document.
        sha256: Hash over the texts in order, each followed by a zero byte.
        stages: What each stage did, in order.
        tasks: Task -> what was looked for of it.
        seconds: Phase -> time it took on the clock.
    """

    model_config = ConfigDict(extra="ignore")

    schema_version: int = 1
    name: str
    created: str
    libraries: dict[str, str]
    corpus: TextCorpus
    sources: list[SourceRecord]
    stages: list[StageRecord]
    tasks: dict[str, TaskRecord]
    tokenizer: TokenizerRecord
    documents: int
    held_out: int
    characters: int
    words: int
    tokens: int
    sha256: str
    seconds: dict[str, float]

    @classmethod
    def read(cls, path: Path) -> "Datasheet":
        """The datasheet in a file.

        Raises:
            DataError: There is none, or it is damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise DataError(f"{path.parent} is no corpus: it has no {path.name}.") from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the file"
            raise DataError(f"{path} is damaged: {where}: {fault['msg']}.") from None

    def write(self, folder: Path) -> None:
        """Write both files."""
        text = self.model_dump_json(indent=2) + "\n"
        (folder / DATASHEET_NAME).write_text(text, encoding="utf-8")
        (folder / _MARKDOWN_NAME).write_text(self.markdown(), encoding="utf-8")

    @property
    def megabytes(self) -> float:
        """Text that was collected, in UTF-8."""
        return sum(source.text_bytes for source in self.sources) / 1e6

    def markdown(self) -> str:
        """The datasheet for people."""
        return "\n".join(
            [
                f"# Datasheet of the corpus {_safe(self.name)}\n",
                *_composition(self),
                *_collection(self.sources),
                *_flow(self.stages),
                *(line for stage in self.stages for line in _stage(stage)),
                *_tests(self.tasks),
                *_tokenizer(self.tokenizer),
                *_making(self),
            ]
        )


def _composition(sheet: Datasheet) -> Iterator[str]:
    yield "## What it holds\n"
    yield _table(
        ("Figure", ""),
        [
            ("Documents", f"{sheet.documents:,}"),
            ("of them held out to measure the loss", f"{sheet.held_out:,}"),
            ("Characters", f"{sheet.characters:,}"),
            ("Words", f"{sheet.words:,}"),
            ("Tokens", f"{sheet.tokens:,}"),
            ("SHA-256 of the texts", sheet.sha256),
        ],
    )


def _collection(sources: list[SourceRecord]) -> Iterator[str]:
    yield "\n## Where it is from\n"
    yield _table(
        ("Source", "Licence", "Files", "MB of text", "Documents", "Kept", "SHA-256 of the files"),
        [
            (
                source.name,
                source.licence or "not stated",
                "" if source.files is None else f"{source.files:,}",
                f"{source.text_bytes / 1e6:.1f}",
                f"{source.documents:,}",
                f"{source.kept:,}",
                source.sha256 or "",
            )
            for source in sources
        ],
    )
    for source in sources:
        if source.skipped:
            yield (
                f"\nOf {_safe(source.name)}, {source.skipped_files:,} files and "
                f"{source.skipped_rows:,} rows could not be read, such as:\n"
            )
            rows = [(skipped.id, skipped.reason) for skipped in source.skipped[:10]]
            yield _table(("What", "It is"), rows)


def _flow(stages: list[StageRecord]) -> Iterator[str]:
    yield "\n## What was done\n"
    yield _table(
        ("Stage", "Documents in", "out", "Characters in", "out"),
        [
            (
                stage.stage,
                f"{stage.documents_in:,}",
                f"{stage.documents_out:,}",
                f"{stage.characters_in:,}",
                f"{stage.characters_out:,}",
            )
            for stage in stages
        ],
    )
    yield "\nEvery document that was dropped is listed in `dropped.parquet` with the reason."


def _stage(stage: StageRecord) -> Iterator[str]:
    if stage.changed:
        yield f"\n### Changed by {stage.stage}\n"
        rows = [(name, f"{t.documents:,}", f"{t.times:,}") for name, t in _ordered(stage.changed)]
        yield _table(("What", "Documents", "Places"), rows)
        yield from _examples(stage.changed)
    if stage.dropped:
        yield f"\n### Dropped by {stage.stage}\n"
        reasons = [(name, f"{tally.documents:,}") for name, tally in _ordered(stage.dropped)]
        yield _table(("Reason", "Documents"), reasons)
        yield from _examples(stage.dropped)


def _ordered(tallies: dict[str, Tally]) -> list[tuple[str, Tally]]:
    return sorted(tallies.items(), key=lambda item: -item[1].documents)


def _examples(tallies: dict[str, Tally]) -> Iterator[str]:
    yield "\nExamples; `datasheet.json` has up to ten of each:\n"
    for name, tally in _ordered(tallies):
        for example in tally.examples[:_EXAMPLES_SHOWN]:
            detail = f" ({_safe(example.detail)})" if example.detail else ""
            yield f"- {_safe(name)}{detail}, {_safe(example.id)}: {_safe(example.text)}"


def _tests(tasks: dict[str, TaskRecord]) -> Iterator[str]:
    if not tasks:
        return
    yield "\n## Tests it was kept apart from\n"
    yield _table(
        (
            "Task",
            "Texts looked for",
            "Too short",
            "Documents dropped",
            "SHA-256 of its texts",
        ),
        [
            (
                name,
                f"{task.texts:,}",
                f"{task.too_short:,}",
                f"{task.documents:,}",
                task.sha256,
            )
            for name, task in tasks.items()
        ],
    )


def _tokenizer(record: TokenizerRecord) -> Iterator[str]:
    yield "\n## Tokenizer\n"
    yield _table(
        ("Figure", ""),
        [
            ("Kind", record.settings.kind),
            ("Vocabulary", f"{record.settings.vocabulary:,}"),
            ("Documents it was trained on", f"{record.trained_on:,}"),
            ("Fertility, tokens a word", _figure(record.fertility, ".3f")),
            ("Characters a token", _figure(record.characters_per_token, ".3f")),
            ("Unknown tokens", _figure(record.unknown_rate, ".4%")),
            ("SHA-256 of tokenizer.json", record.sha256),
        ],
    )


def _making(sheet: Datasheet) -> Iterator[str]:
    total = sum(sheet.seconds.values())
    yield "\n## How it was made\n"
    rate = f"{sheet.megabytes / total:.2f} MB/s" if total else ""
    yield f"{sheet.created}, {sheet.megabytes:.1f} MB in {total:.0f} s: {rate}.\n"
    yield _table(("Phase", "Seconds"), [(k, f"{v:.1f}") for k, v in sheet.seconds.items()])
    libraries = ", ".join(f"{name} {version}" for name, version in sheet.libraries.items())
    yield f"\nLibraries: {libraries}. Settings: see `corpus` in `datasheet.json`.\n"


def _table(headers: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [[_safe(cell) for cell in row] for row in rows]
    return tabulate(cells, headers=headers, tablefmt="pipe", disable_numparse=True)


def _figure(value: float | None, form: str) -> str:
    return "undefined" if value is None else format(value, form)


def _safe(text: str) -> str:
    """Text of others as Markdown that shows it and does nothing else."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    for mark in "\\`*_[]|":
        shown = shown.replace(mark, f"\\{mark}")
    return html.escape(shown, quote=False)
