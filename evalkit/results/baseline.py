"""A baseline as one Parquet file that can be committed: samples, scores and manifest of a run."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from evalkit.errors import DataError, UsageError
from evalkit.results.manifest import Manifest
from evalkit.results.schema import SAMPLES, SCORES, TIMINGS, table
from evalkit.results.store import RunFiles, Store
from evalkit.types import digest

FOLDER = "baselines"
SUFFIX = ".parquet"
_TAG = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_MANIFEST, _SCORES = b"evalkit.manifest", b"evalkit.scores"


@dataclass(frozen=True, slots=True)
class BaselineFile:
    """A baseline of a store: its tag, where it lies, and the run it was made from."""

    tag: str
    path: str
    run: Manifest


def set_baseline(store: Store, run: str, tag: str) -> BaselineFile:
    """Write a run to `<store>/baselines/<tag>.parquet`, replacing what was there.

    Raises:
        UsageError: The tag is no plain name, no run fits, or the file cannot be written.
        DataError: The run's files are damaged.
    """
    if not re.fullmatch(_TAG, tag):
        raise UsageError(f"--tag {tag!r}: use letters, digits, dots, dashes and underscores only.")
    manifest = store.resolve(run)
    samples = [store.samples_table(manifest.run_id, task) for task in manifest.tasks]
    scores = json.dumps(store.score_rows(manifest.run_id))
    rows = pa.concat_tables([SAMPLES.empty_table(), *samples])
    notes = {_MANIFEST: manifest.model_dump_json().encode(), _SCORES: scores.encode()}
    described = rows.replace_schema_metadata({**(SAMPLES.metadata or {}), **notes})
    path = _path(store, tag)
    try:
        store.filesystem.makedirs(f"{store.root}/{FOLDER}", exist_ok=True)
        with store.filesystem.open(path, "wb") as file:
            pq.write_table(described, file, compression="zstd")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}.") from error
    return BaselineFile(tag, path, manifest)


def list_baselines(store: Store) -> tuple[list[BaselineFile], list[str]]:
    """The baselines of a store, by tag, and a sentence on each file that is none."""
    found, problems = [], []
    for path in _files(store):
        try:
            found.append(BaselineFile(_tag(path), path, _manifest(store, path)))
        except DataError as error:
            problems.append(str(error))
    return found, problems


def find_baseline(store: Store, reference: str) -> tuple[Store, Manifest]:
    """The run a reference means, and the store to read it from.

    Args:
        store: Where runs and tagged baselines lie.
        reference: A baseline file (`*.parquet`), `tag:NAME`, or anything `Store.resolve` knows.

    Raises:
        UsageError: There is no such file, tag or run.
        DataError: The file is no baseline.
    """
    if reference.endswith(SUFFIX):
        filesystem, path = fsspec.core.url_to_fs(reference)
        return _open(filesystem, str(path), reference)
    if reference.startswith("tag:") and "=" not in reference:
        tag = reference.removeprefix("tag:")
        path = _path(store, tag)
        if not store.filesystem.exists(path):
            known = ", ".join(map(_tag, _files(store))) or "none"
            how = f"make it with 'evalkit baseline set RUN --tag {tag}'"
            if not re.fullmatch(_TAG, tag):
                how = f"a file's name has to end in {SUFFIX}"
            raise UsageError(f"{store.url} has no baseline {tag!r} (known: {known}); {how}.")
        return _open(store.filesystem, path, path)
    return store, store.resolve(reference)


def _open(filesystem: fsspec.AbstractFileSystem, path: str, shown: str) -> tuple[Store, Manifest]:
    """Lay a baseline file out as a store in memory, so that everything reads it as a run."""
    if not filesystem.exists(path):
        raise UsageError(f"There is no baseline file {shown}.")
    try:
        with filesystem.open(path, "rb") as file:
            rows = pq.ParquetFile(file).read()
        found = rows.schema.metadata or {}
        manifest = Manifest.model_validate_json(found[_MANIFEST])
        scores = json.loads(found[_SCORES])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"{shown} is no baseline file of evalkit: {_first(error)}.") from error
    memory = Store(f"memory://evalkit-baseline-{digest([shown, manifest.run_id])}")
    names = rows["task"].to_numpy()
    by_task = {task: rows.filter(names == task) for task in manifest.tasks}
    memory.write(RunFiles(manifest, table(scores, SCORES), by_task, TIMINGS.empty_table()))
    return memory, manifest


def _manifest(store: Store, path: str) -> Manifest:
    try:
        with store.filesystem.open(path, "rb") as file:
            found = pq.read_schema(file).metadata or {}
        return Manifest.model_validate_json(found[_MANIFEST])
    except (OSError, pa.ArrowException, KeyError, ValidationError) as error:
        raise DataError(f"{path} is no baseline file of evalkit: {_first(error)}.") from error


def _files(store: Store) -> list[str]:
    if not store.filesystem.isdir(f"{store.root}/{FOLDER}"):
        return []
    return sorted(map(str, store.filesystem.glob(f"{store.root}/{FOLDER}/*{SUFFIX}")))


def _tag(path: str) -> str:
    return Path(path).name.removesuffix(SUFFIX)


def _path(store: Store, tag: str) -> str:
    return f"{store.root}/{FOLDER}/{tag}{SUFFIX}"


def _first(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0].rstrip('.')}" if text else type(error).__name__
