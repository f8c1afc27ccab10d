"""Makes a corpus: runs the stages one after the other, through files, and puts it in its place."""

import importlib.metadata
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from evalkit import __version__
from evalkit.errors import DataError, UsageError
from evalkit.progress import progress_bar
from evalkit.training.corpus.boilerplate import LineFile
from evalkit.training.corpus.clean import Cleaner
from evalkit.training.corpus.collect import SourceRecord, check_sources, collect
from evalkit.training.corpus.datasheet import Datasheet
from evalkit.training.corpus.decontaminate import Forbidden, TaskText, decontaminate
from evalkit.training.corpus.deduplicate import deduplicate, find_twins
from evalkit.training.corpus.document import Document, read_documents, write_documents
from evalkit.training.corpus.ledger import DropFile, Stage
from evalkit.training.corpus.reader import (
    DOCUMENTS_FOLDER,
    TOKENIZER_NAME,
    TOKENS_FOLDER,
    CorpusReader,
)
from evalkit.training.corpus.settings import TextCorpus, Tokenizer
from evalkit.training.corpus.tokenize import (
    HeldOut,
    Tokenized,
    TokenizerRecord,
    check_long_enough,
    record_of,
    tokenize,
    train_evenly,
)

_STAGES = ("collect", "clean", "deduplicate", "decontaminate")
_LIBRARIES = (
    "datasets", "datasketch", "ftfy", "lingua-language-detector", "phonenumbers", "pyarrow",
    "tokenizers", "trafilatura",
)  # fmt: skip


def prepare_corpus(
    corpus: TextCorpus,
    tokenizer: Tokenizer,
    out: Path,
    *,
    context: int,
    name: str = "corpus",
    tests: Iterable[TaskText] = (),
    mirror: Path | None = None,
    progress: bool = True,
) -> CorpusReader:
    """Collect, clean, deduplicate, decontaminate, tokenize and describe a corpus.

    Args:
        corpus: The recipe's section.
        tokenizer: The recipe's section.
        out: Folder for the corpus; must not exist yet, or be empty.
        context: Longest sequence of the model it is for, in tokens.
        name: What the datasheet calls it.
        tests: Texts of the tasks in `corpus.decontaminate`.
        mirror: Folder in the hub's layout that data sets are read from instead of the hub.
        progress: Show progress bars on stderr.

    Raises:
        UsageError: The folder is in use or cannot be written, or the settings ask the impossible.
        DataError: There is no text, or none that the stages keep.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} already holds files; choose another folder, or delete it first.")
    check_sources(corpus.collect)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / "work").mkdir(parents=True)
        maker = _Maker(corpus, tokenizer, context, unfinished, mirror, progress)
        maker.make(name, list(tests))
        shutil.rmtree(unfinished / "work")
        unfinished.replace(out)
    except OSError as error:
        raise UsageError(f"Cannot write the corpus {out}: {_reason(error)}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return CorpusReader.open(out)


@dataclass(slots=True)
class _Maker:
    """What the stages share while they run."""

    corpus: TextCorpus
    settings: Tokenizer
    context: int
    out: Path
    mirror: Path | None
    progress: bool
    sources: list[SourceRecord] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.out / "work"

    def make(self, name: str, texts: list[TaskText]) -> None:
        """Run all stages; the folder then holds the corpus."""
        wanted = self.corpus.decontaminate.tasks
        if wanted and not texts:
            raise DataError(f"The tasks {', '.join(wanted)} of corpus.decontaminate have no texts.")
        with DropFile(self.out / "dropped.parquet") as file:
            collecting, cleaning, deduplicating, decontaminating = stages = [
                Stage(stage, file) for stage in _STAGES
            ]
            # Everything that can be wrong with the settings is found before a text is read.
            tests = Forbidden(texts, self.corpus.decontaminate)
            Cleaner(self.corpus.clean, set(), cleaning)
            self._clean(self._collect(collecting), cleaning)
            held_out = HeldOut(self.corpus.held_out)
            self._drop(deduplicating, decontaminating, tests, held_out)
        found, record = self._tokenize(decontaminating.record.documents_out, held_out)
        for source in self.sources:
            source.kept = found.sources.get(source.name, 0)
        self._describe(name, stages, tests, found, record)
        check_long_enough(CorpusReader.open(self.out).train.tokens, self.context)

    def _collect(self, stage: Stage) -> set[int]:
        """Write what is found; the hashes of lines that many documents have."""
        lines = LineFile(self.work / "lines")
        at_least = self.corpus.clean.boilerplate

        def noted(documents: Iterator[Document]) -> Iterator[Document]:
            for document in documents:
                if at_least:
                    lines.add(document.text)
                yield document

        with self._phase("collect"):
            found = collect(self.corpus.collect, self.mirror, self.sources, stage)
            write_documents(self.work / "collected", self._watched(noted(found), "collecting"))
        if not stage.record.documents_out:
            raise DataError(f"There is no text in {_named(self.sources)}.")
        with self._phase("clean"):
            return lines.frequent(at_least)

    def _clean(self, frequent: set[int], stage: Stage) -> None:
        with self._phase("clean"):
            collected = self._watched(read_documents(self.work / "collected"), "cleaning")
            cleaner = Cleaner(self.corpus.clean, frequent, stage)
            write_documents(self.work / "cleaned", cleaner.clean(collected))
        shutil.rmtree(self.work / "collected")
        _check_left([stage])

    def _drop(
        self, deduplicating: Stage, decontaminating: Stage, tests: Forbidden, held_out: HeldOut
    ) -> None:
        cleaned = self.work / "cleaned"
        with self._phase("deduplicate and decontaminate"):
            compared = self._watched(read_documents(cleaned), "comparing")
            twins = find_twins(compared, self.work / "twins", self.corpus.deduplicate)
            documents = self._watched(read_documents(cleaned), "dropping duplicates and tests")
            single = deduplicate(documents, twins, deduplicating)
            kept = held_out.see(decontaminate(single, tests, decontaminating))
            write_documents(self.out / DOCUMENTS_FOLDER, kept)
        _check_left([deduplicating, decontaminating])

    def _tokenize(self, count: int, held_out: HeldOut) -> tuple[Tokenized, TokenizerRecord]:
        folder = self.out / DOCUMENTS_FOLDER
        with self._phase("train the tokenizer"):
            tokenizer, trained_on = train_evenly(
                read_documents(folder), count, self.settings, self.context
            )
            definition = tokenizer.backend_tokenizer.to_str()
            (self.out / TOKENIZER_NAME).write_text(definition, encoding="utf-8")
        with self._phase("tokenize"):
            documents = self._watched(read_documents(folder), "tokenizing")
            found = tokenize(documents, self.out / TOKENS_FOLDER, tokenizer, held_out.flags())
        return found, record_of(tokenizer, self.settings, trained_on, found)

    def _describe(
        self,
        name: str,
        stages: list[Stage],
        tests: Forbidden,
        found: Tokenized,
        record: TokenizerRecord,
    ) -> None:
        versions = {library: importlib.metadata.version(library) for library in _LIBRARIES}
        Datasheet(
            name=name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            libraries={"evalkit": __version__, **versions},
            corpus=self.corpus,
            sources=self.sources,
            stages=[stage.record for stage in stages],
            tasks=tests.records,
            tokenizer=record,
            documents=sum(found.sources.values()),
            held_out=found.held_out,
            characters=found.characters,
            words=found.words,
            tokens=found.tokens,
            sha256=found.digest.hexdigest(),
            seconds=self.seconds,
        ).write(self.out)

    def _watched(self, documents: Iterator[Document], what: str) -> Iterator[Document]:
        """Documents on their way, with a bar of the characters that went by."""
        with progress_bar(None, what, "char", show=self.progress, unit_scale=True) as bar:
            for document in documents:
                yield document
                bar.update(len(document.text))

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        spent = time.perf_counter() - started
        self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)


def _reason(error: OSError) -> str:
    """What went wrong, in the system's own words; pyarrow hides its number in its own."""
    number = re.search(r"\[errno (\d+)\]", str(error))
    return os.strerror(int(number[1])) if number else error.strerror or str(error)


def _named(sources: list[SourceRecord]) -> str:
    """Sources with what was skipped of each."""
    return "; ".join(
        source.name
        + (f" ({source.skipped_files} files and {source.skipped_rows} rows could not be read, "
           f"the first, {source.skipped[0].id}, is {source.skipped[0].reason})"
           if source.skipped else "")
        for source in sources
    )  # fmt: skip


def _check_left(stages: list[Stage]) -> None:
    """Raise `DataError` where the stages leave nothing, with the commonest reason."""
    if stages[-1].record.documents_out:
        return
    reasons = {
        f"{stage.name}: {reason}": tally.documents
        for stage in stages
        for reason, tally in stage.record.dropped.items()
    }
    told = ", ".join(f"{count} by {name}" for name, count in sorted(
        reasons.items(), key=lambda item: -item[1])[:3])  # fmt: skip
    raise DataError(
        f"All {stages[0].record.documents_in} documents were dropped ({told}); "
        "loosen corpus.clean, corpus.deduplicate or corpus.decontaminate."
    )
