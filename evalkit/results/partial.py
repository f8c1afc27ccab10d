"""Where runs lie that are not in their store yet: unfinished ones, and ones it could not take.

The journals of a store that is a folder lie inside it, in `.partial/<run_id>/`, so that they move
with it. Those of an object store, and every finished run that its store could not take, lie on this
machine in the user's cache folder.
"""

import fcntl
import shutil
from pathlib import Path
from typing import BinaryIO

from evalkit.errors import EvaluationError, UsageError
from evalkit.paths import cache_folder
from evalkit.results.index import MANIFEST_NAME
from evalkit.results.store import RunFiles, Store
from evalkit.types import digest

FOLDER = ".partial"
JOURNAL_NAME = "journal"


def journal_root(store: Store) -> Path:
    """Folder that holds the journals of a store's unfinished runs."""
    if store.local_root is not None:
        return store.local_root / FOLDER
    return _cache(store, "unfinished")


def unfinished_runs(store: Store) -> list[str]:
    """Ids of the runs that have a journal, oldest first."""
    found = journal_root(store).glob(f"*/{JOURNAL_NAME}")
    return sorted(path.parent.name for path in found)


def forget_journal(store: Store, run_id: str) -> None:
    """Remove the journal of a run that is finished."""
    shutil.rmtree(journal_root(store) / run_id, ignore_errors=True)


def discard_journal(store: Store, run_id: str) -> None:
    """Remove the journal of a run that is not wanted any more.

    Raises:
        UsageError: A process is still writing it.
        OSError: It cannot be removed.
    """
    folder = journal_root(store) / run_id
    with (folder / JOURNAL_NAME).open("rb") as file:
        if not _lock(file):
            raise UsageError(f"The run {run_id} is still going on in another process.")
        shutil.rmtree(folder)


def is_going_on(store: Store, run_id: str) -> bool:
    """Whether a process is writing the journal of an unfinished run."""
    try:
        with (journal_root(store) / run_id / JOURNAL_NAME).open("rb") as file:
            return not _lock(file)
    except OSError:
        return False


def _lock(file: BinaryIO) -> bool:
    """Lock a journal until it is closed; False where another process has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(store: Store, run: RunFiles) -> str:
    """Keep a finished run for a store that cannot take it now; returns where.

    Raises:
        OSError: This machine's cache folder cannot take it either.
    """
    return _unsent(store).write(run)


def kept_runs(store: Store) -> list[str]:
    """Ids of the finished runs that wait for their store, oldest first."""
    found = _cache(store, "unsent").glob(f"*/{MANIFEST_NAME}")
    return sorted(path.parent.name for path in found)


def push(store: Store, run_id: str) -> str:
    """Bring a kept run into its store and let go of the local copy; returns its path there.

    Raises:
        DataError: The kept copy is damaged.
        EvaluationError: The store still cannot take it; the copy stays.
    """
    kept = _unsent(store)
    run = kept.read_run(run_id)
    try:
        path = store.write(run)
    except Exception as error:  # each file system has errors of its own
        raise EvaluationError(
            f"The store {store.shown_url} still cannot take {run_id} ({error}); it stays in "
            f"{kept.path_of(run_id)}."
        ) from error
    kept.delete(run_id)
    return path


def _unsent(store: Store) -> Store:
    return Store(_cache(store, "unsent"))


def _cache(store: Store, kind: str) -> Path:
    place = store.url if store.local_root is None else str(store.local_root.resolve())
    return cache_folder(kind) / digest(place)
