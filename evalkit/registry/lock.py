"""The lock of a mirror: which revision of each repository it holds, and the hash of every file."""

import hashlib
import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import DataError
from evalkit.types import digest

LOCK = "evalkit.lock.json"


class LockedRepo(BaseModel):
    """One repository of the hub as it was downloaded.

    Attributes:
        revision: The commit.
        files: Path within the repository -> SHA-256 of its content.
    """

    model_config = ConfigDict(extra="forbid")

    revision: str
    files: dict[str, str]

    @property
    def files_hash(self) -> str:
        """Hash over the names and hashes of all files."""
        return digest(self.files)


class Lock(BaseModel):
    """Folder within the mirror, such as `datasets/rajpurkar/squad` -> what it holds."""

    model_config = ConfigDict(extra="forbid")

    version: int = 1
    repos: dict[str, LockedRepo] = Field(default_factory=dict)

    def write(self, mirror: Path) -> None:
        """Write into the mirror, whole or not at all."""
        temporary = mirror / f".{LOCK}.tmp"
        text = json.dumps(self.model_dump(), indent=1, sort_keys=True) + "\n"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(mirror / LOCK)


def read_lock(mirror: Path) -> Lock:
    """The lock of a mirror; an empty one where it has none.

    Raises:
        DataError: It is damaged.
    """
    file = mirror / LOCK
    if not file.is_file():
        return Lock()
    return _parsed(file, file.stat().st_mtime_ns)


def locked(mirror: Path, folder: str) -> LockedRepo | None:
    """What the lock says of a folder of the mirror, once its files are seen to be those.

    Args:
        mirror: The mirror.
        folder: Such as `datasets/rajpurkar/squad`.

    Raises:
        DataError: A file is missing, changed, or not named by the lock.
    """
    repo = read_lock(mirror).repos.get(folder)
    if repo is not None:
        _check(mirror / folder, repo)
    return repo


def files_of(folder: Path) -> dict[str, str]:
    """Hash of each file below a folder by its path, hidden files and folders left out."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            state = file.stat()
            found[name.as_posix()] = _sha256(file, state.st_size, state.st_mtime_ns)
    return found


def _check(folder: Path, repo: LockedRepo) -> None:
    found = files_of(folder)
    for name in sorted({*found, *repo.files}):
        if found.get(name) == repo.files.get(name):
            continue
        fault = "is missing" if name not in found else "is not the file that was downloaded"
        if name not in repo.files:
            fault = "is not in the lock"
        raise DataError(
            f"{folder / name} {fault}: {LOCK} of the mirror holds the data to revision "
            f"{repo.revision}; delete {folder} and bring it again with evalkit mirror add."
        )


@cache
def _parsed(file: Path, changed: int) -> Lock:
    try:
        return Lock.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = "another shape" if isinstance(error, ValidationError) else str(error)
        raise DataError(f"{file} cannot be read as the lock of a mirror: {reason}.") from error


@cache
def _sha256(file: Path, size: int, changed: int) -> str:
    """Hash of a file's content; size and time of change make it anew where the file is."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
