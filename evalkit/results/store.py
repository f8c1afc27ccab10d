"""The store: a folder or object-store prefix that holds runs, one folder each."""

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from evalkit.errors import DataError, UsageError
from evalkit.redact import redacted
from evalkit.results.index import (
    MANIFEST_NAME,
    SCORES_NAME,
    WORTH_WRITING,
    Place,
    indexed,
    narrowed,
    uncollected,
)
from evalkit.results.location import Location
from evalkit.results.manifest import Manifest
from evalkit.results.parquet import first_line, read_table, write_table
from evalkit.results.schema import SAMPLES, SCORES, TIMINGS, conform
from evalkit.types import digest

_LONGEST_NAME = 200
# A page of samples is read by itself where the rows between it and its neighbours are few.
SAMPLE_ROWS = 8192


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Everything a finished run writes, as Arrow tables in the store's schemas."""

    manifest: Manifest
    scores: pa.Table
    samples: Mapping[str, pa.Table]
    timings: pa.Table


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs of a store, oldest first, and a sentence on each folder that could not be read."""

    runs: list[Manifest]
    problems: list[str] = field(default_factory=list)


class Store(Location):
    """Reads and writes the runs of one location."""

    def write(self, run: RunFiles) -> str:
        """Write a run, its manifest last, and return the run's path.

        A run is in the store once its manifest is; anything before that is invisible to readers.

        Raises:
            Exception: The file system's own, usually an `OSError`; nothing of the run is left.
        """
        folder = self.path_of(run.manifest.run_id)
        try:
            self._write_files(folder, run)
        except Exception:
            with suppress(Exception):
                self._fs.rm(folder, recursive=True)
            raise
        return folder

    def _write_files(self, folder: str, run: RunFiles) -> None:
        self.make_folder(f"{folder}/samples")
        write_table(self._fs, f"{folder}/scores.parquet", conform(run.scores, SCORES))
        for task, table in run.samples.items():
            path = f"{folder}/{_samples_name(task)}"
            write_table(self._fs, path, conform(table, SAMPLES), SAMPLE_ROWS)
        write_table(self._fs, f"{folder}/timings.parquet", conform(run.timings, TIMINGS))
        self.write_manifest(run.manifest)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write a run's manifest, or replace it, in one step.

        Raises:
            Exception: The file system's own, usually an `OSError`.
        """
        path = f"{self.path_of(manifest.run_id)}/{MANIFEST_NAME}"
        content = json.dumps(redacted(manifest.model_dump(mode="json")), indent=2).encode()
        if not isinstance(self._fs, LocalFileSystem):  # an object appears whole or not at all
            self._fs.pipe_file(path, content)
            return
        temporary = Path(f"{path}.{secrets.token_hex(4)}.tmp")
        temporary.write_bytes(content)
        temporary.replace(path)

    @property
    def place(self) -> Place:
        """File system and root, for the index."""
        return Place(self._fs, self.root)

    def holds(self, run_id: str) -> bool:
        """Whether the run is complete in the store."""
        with self.reading():
            return bool(self._fs.exists(f"{self.path_of(run_id)}/{MANIFEST_NAME}"))

    def delete(self, run_id: str) -> None:
        """Remove a run, its manifest first, so that no reader meets half of it.

        Raises:
            OSError: The store could not remove its files.
        """
        folder = self.path_of(run_id)
        self._fs.rm_file(f"{folder}/{MANIFEST_NAME}")
        self._fs.rm(folder, recursive=True)
        self._fs.invalidate_cache(folder)

    def read_run(self, run_id: str) -> RunFiles:
        """Everything a run has written.

        Raises:
            DataError: One of its files is missing or damaged.
        """
        path = f"{self.path_of(run_id)}/{MANIFEST_NAME}"
        try:
            manifest = Manifest.model_validate_json(self._fs.cat_file(path))
        except (ValidationError, OSError) as error:
            raise DataError(f"{path} is not a readable manifest: {first_line(error)}") from error
        return RunFiles(
            manifest,
            read_table(self._fs, f"{self.path_of(run_id)}/scores.parquet", SCORES),
            {task: self.samples_table(run_id, task) for task in manifest.tasks},
            read_table(self._fs, f"{self.path_of(run_id)}/timings.parquet", TIMINGS),
        )

    def path_of(self, run_id: str) -> str:
        """Path of a run's folder inside the store's file system."""
        return f"{self._root.rstrip('/')}/{run_id}"

    def samples_path(self, run_id: str, task: str) -> str:
        """Path of one task's samples inside the store's file system."""
        return f"{self.path_of(run_id)}/{_samples_name(task)}"

    def listing(self) -> Listing:
        """All complete runs, oldest first; folders without a manifest are passed over."""
        problems: list[str] = []
        texts = self._manifests("manifest", problems)
        with uncollected():
            runs = [Manifest.model_validate_json(text) for text in texts]
        return Listing(sorted(runs, key=lambda run: (run.created, run.run_id)), problems)

    def _manifests(self, column: str, problems: list[str]) -> list[str]:
        """`run_id` or `manifest` (its text) of each complete run."""
        read = partial(self._manifest_row, problems)
        with self.reading():
            tables = indexed(self.place, "manifests", read, columns=[column])
        return [str(value) for table in tables for value in table[column].to_pylist()]

    def _manifest_row(self, problems: list[str], run_id: str) -> pa.Table | None:
        path = f"{self.path_of(run_id)}/{MANIFEST_NAME}"
        try:
            text = self._fs.cat_file(path).decode()
            named = Manifest.model_validate_json(text).run_id
        except (ValueError, OSError) as error:
            problems.append(f"{path} is not a readable manifest: {first_line(error)}")
            return None
        if named != run_id:
            problems.append(
                f"{path} names the run {named}, not its folder's: a run's folder bears the run's "
                "id; rename the folder, or move a copy out of the store."
            )
            return None
        return pa.table({"run_id": [run_id], "manifest": [text]})

    def resolve(self, reference: str) -> Manifest:
        """Find a run by id, unique id prefix, name, `tag:KEY=VALUE` or `latest`.

        Where several runs bear the name or tag, the newest is meant.

        Raises:
            UsageError: No run fits, or an id prefix fits several.
        """
        listing = self.listing()
        runs = listing.runs
        if not runs and not listing.problems:
            raise UsageError(
                f"The store {self.shown_url} holds no runs; make one with 'evalkit run'."
            )
        if reference == "latest" and runs:
            self._refuse_newer_damage(reference, runs[-1].run_id, listing.problems)
            return runs[-1]
        if reference.startswith("tag:"):
            key, _, value = reference.removeprefix("tag:").partition("=")
            named = [run for run in runs if run.tags.get(key) == value]
        else:
            named = [run for run in runs if reference in (run.run_id, run.name)]
        if named:
            if reference != named[-1].run_id:
                self._refuse_newer_damage(reference, named[-1].run_id, listing.problems)
            return named[-1]
        prefixed = [run for run in runs if run.run_id.startswith(reference)]
        if len(prefixed) == 1:
            return prefixed[0]
        known = ", ".join(run.run_id for run in (prefixed or runs)[-5:])
        problem = "fits several runs" if prefixed else "names no run"
        raise UsageError(f"{reference!r} {problem} in {self.shown_url}; among its runs: {known}.")

    def _refuse_newer_damage(self, reference: str, found: str, problems: Sequence[str]) -> None:
        """A newer run that cannot be read may be the one that is meant."""
        newer = [text for text in problems if text.removeprefix(self.path_of("")) > found]
        if newer:
            raise DataError(
                f"{reference!r} may mean a newer run than {found}: {newer[-1]}; "
                "name a run by its id, or delete the damaged one."
            )

    def scores(
        self,
        runs: Sequence[str] | None = None,
        *,
        task: str | None = None,
        metric: str | None = None,
        columns: Sequence[str] | None = None,
        problems: dict[str, str] | None = None,
    ) -> pd.DataFrame:
        """Scores, one row a score, by run.

        Args:
            runs: Run ids; all complete runs by default.
            task: Only this task's.
            metric: Only this metric's.
            columns: Only these columns; all of `SCORES` by default.
            problems: Gets a sentence for the id of each run whose scores are damaged; without it,
                they raise.

        Raises:
            DataError: A run's scores are missing or damaged.
        """
        wanted = None
        for name, value in (("task", task), ("metric", metric)):
            if value is not None:
                part = pc.field(name) == pa.scalar(value)
                wanted = part if wanted is None else wanted & part
        names = None if columns is None else [name for name in SCORES.names if name in columns]
        read = partial(self._score_rows, problems)
        ids = self._manifests("run_id", []) if runs is None else list(runs)
        if len(ids) < WORTH_WRITING:
            found = [table for run in ids if (table := read(run)) is not None]
            tables = [narrowed(table, names, wanted) for table in found]
        else:
            tables = indexed(self.place, "scores", read, ids, names, wanted)
        empty = narrowed(SCORES.empty_table(), names, None)
        return pa.concat_tables([empty, *tables]).to_pandas()

    def _score_rows(self, problems: dict[str, str] | None, run_id: str) -> pa.Table | None:
        try:
            table = read_table(self._fs, f"{self.path_of(run_id)}/{SCORES_NAME}", SCORES)
        except DataError as error:
            if problems is None:
                raise
            problems[run_id] = str(error)
            return None
        names = pa.array([run_id] * len(table), pa.string())
        return table.set_column(0, SCORES.field("run_id"), names)

    def samples(
        self,
        run_id: str,
        task: str,
        columns: Sequence[str] | None = None,
        *,
        first: int | None = None,
        last: int | None = None,
    ) -> pd.DataFrame:
        """Samples of one task of a run; only the named columns are read.

        Args:
            run_id: The run.
            task: One of its tasks.
            columns: Columns of `SAMPLES`; all by default.
            first: Smallest `doc_id`; parts of the file that lie outside the range are not read.
            last: Largest `doc_id`.
        """
        path = self.samples_path(run_id, task)
        low = -(2**63) if first is None else first
        high = 2**63 - 1 if last is None else last
        table = read_table(self._fs, path, SAMPLES, columns, (low, high))
        return table.to_pandas(maps_as_pydicts="strict")

    def score_rows(self, run_id: str) -> list[dict[str, Any]]:
        """Scores of a run as plain values, None where undefined."""
        path = f"{self.path_of(run_id)}/scores.parquet"
        rows: list[dict[str, Any]] = read_table(self._fs, path, SCORES).to_pylist()
        return rows

    def samples_table(
        self, run_id: str, task: str, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Samples of one task of a run, as they are stored; only the named columns are read."""
        return read_table(self._fs, self.samples_path(run_id, task), SAMPLES, columns)

    def timings(self, run_id: str) -> pd.DataFrame:
        """Timings of a run, one row a phase or timed request."""
        return read_table(self._fs, f"{self.path_of(run_id)}/timings.parquet", TIMINGS).to_pandas()


def _samples_name(task: str) -> str:
    """A file name that is inside the folder whatever the task is called; a long one is cut."""
    name = quote(task, safe="", errors="replace")
    name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}-{digest(task)}"
    return f"samples/{name}.parquet"
