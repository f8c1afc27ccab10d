"""What a watch has done: `<store>/.watch/<series>.json`, so that a restart repeats nothing."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import DataError, UsageError
from evalkit.results import Store
from evalkit.results.partial import journal_root

FOLDER = ".watch"


class Entry(BaseModel):
    """One checkpoint.

    Attributes:
        stamp: Of its files, when it was measured or tried.
        run_id: Of its run; None where it could not be measured.
        outcome: What the gate came to, in a word; None without a gate.
        problem: Why it could not be measured.
        tries: How often that was tried.
    """

    model_config = ConfigDict(extra="ignore")

    stamp: str
    run_id: str | None = None
    outcome: str | None = None
    problem: str | None = None
    tries: int = 0


class Turn(BaseModel):
    """A change of the gate's outcome.

    Attributes:
        checkpoint: Where it turned.
        before: The outcome until then.
        after: The outcome now.
        headline: The verdict in one sentence.
    """

    checkpoint: str
    run_id: str
    before: str
    after: str
    headline: str


class Ledger(BaseModel):
    """What a watch knows of a series.

    Attributes:
        source: Where the checkpoints appear.
        entries: By the checkpoint's name.
        standing: Name of the newest checkpoint that was judged, and its outcome.
        untold: Turns that a command or webhook has not taken yet, and which of them.
    """

    model_config = ConfigDict(extra="ignore")

    format: int = 1
    source: str
    entries: dict[str, Entry] = Field(default_factory=dict)
    standing: tuple[str, str] | None = None
    untold: list[tuple[str, Turn]] = Field(default_factory=list)


def read_ledger(store: Store, series: str, source: str) -> Ledger:
    """The ledger of a series; an empty one where there is none.

    Raises:
        DataError: It is damaged.
    """
    path = _path(store, series)
    try:
        return Ledger.model_validate_json(store.filesystem.cat_file(path))
    except FileNotFoundError:
        return Ledger(source=source)
    except (ValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path} is no readable record of a watch ({reason}); remove it: what is in the store "
            "is not measured again."
        ) from error


def write_ledger(store: Store, series: str, ledger: Ledger) -> None:
    """Write the ledger; it is there whole, as before or as now."""
    path = _path(store, series)
    data = json.dumps(ledger.model_dump(mode="json"), indent=1).encode()
    if not isinstance(store.filesystem, LocalFileSystem):  # an object appears whole or not at all
        store.filesystem.pipe_file(path, data)
        return
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(file)


@contextmanager
def alone(store: Store, series: str) -> Iterator[None]:
    """Keep other watches of this machine off the series.

    Raises:
        UsageError: One is going on.
    """
    root = journal_root(store)
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"watch-{series}.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "The same checkpoints are watched by another process already."
            ) from None
        yield


def _path(store: Store, series: str) -> str:
    return f"{store.root}/{FOLDER}/{series}.json"
