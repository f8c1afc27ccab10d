"""Where the checkpoints of a training appear: a folder, or a prefix of an object store."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from evalkit.errors import DataError, UsageError
from evalkit.paths import cache_folder
from evalkit.redact import without_secrets
from evalkit.types import digest

_CONFIGS = ("config.json", "adapter_config.json")
_MANIFEST = "evalkit.json"
_READ = (".json", ".safetensors", ".txt", ".model", ".jinja", ".py")
"""Files that a checkpoint is loaded from; states of optimisers are left where they are."""
_AGE_NAMES = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint as it lies there.

    Attributes:
        name: Of its folder.
        step: The last number in the name; None where there is none.
        stamp: Changes when any of its files does.
        is_renamed: Whether it took its name when it was whole, as evalkit's own do.
    """

    name: str
    step: int | None
    stamp: str
    is_renamed: bool

    @property
    def order(self) -> tuple[int, str]:
        """Places checkpoints from the oldest to the newest."""
        return order_of(self.name)


class Source:
    """A folder in which a training saves checkpoints.

    Args:
        url: A path or any fsspec URL.

    Raises:
        UsageError: There is no such folder, or no such kind of file system.
    """

    def __init__(self, url: str) -> None:
        self.shown = without_secrets(url)
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{self.shown} cannot be opened: {error}.") from error
        self._root = str(root).rstrip("/")
        self.is_local = isinstance(self._fs, LocalFileSystem)
        if self.is_local and not Path(self._root).is_dir():
            raise UsageError(f"{self.shown} is no folder; name the one a training saves into.")
        self.url = self._root if self.is_local else url.rstrip("/")

    @property
    def name(self) -> str:
        """Of the folder."""
        return self._root.rsplit("/", 1)[-1]

    def look(self) -> list[Seen]:
        """The checkpoints that are there, whole or not, oldest first.

        Raises:
            DataError: The folder cannot be read now.
        """
        try:
            self._fs.invalidate_cache()
            files: dict[str, dict[str, Any]] = self._fs.find(self._root, detail=True)
        except Exception as error:  # each file system has errors of its own
            reason = without_secrets(next(iter(str(error).splitlines()), ""))
            raise DataError(f"{self.shown} cannot be read ({reason}).") from error
        folders: dict[str, dict[str, str]] = {}
        for path, found in files.items():
            name, _, inner = path[len(self._root) :].lstrip("/").partition("/")
            if inner and not name.startswith("."):
                age = [str(found[key]) for key in _AGE_NAMES if key in found]
                folders.setdefault(name, {})[inner] = f"{found.get('size')} {age}"
        return sorted(
            (
                Seen(name, _step(name), digest(inner), self.is_local and _MANIFEST in inner)
                for name, inner in folders.items()
                if any(config in inner for config in _CONFIGS)
            ),
            key=lambda seen: seen.order,
        )

    @contextmanager
    def here(self, seen: Seen) -> Iterator[Path]:
        """The checkpoint's folder on this machine: itself, or a copy for as long as it is needed.

        Raises:
            DataError: It cannot be copied.
        """
        if self.is_local:
            yield Path(self._root) / seen.name
            return
        folder = cache_folder("watch") / digest(self.url) / seen.name
        try:
            self._copy(f"{self._root}/{seen.name}", folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _copy(self, path: str, folder: Path) -> None:
        try:
            for file in self._fs.find(path):
                inner = Path(file[len(path) :].lstrip("/"))
                if inner.suffix in _READ and ".." not in inner.parts:
                    (folder / inner).parent.mkdir(parents=True, exist_ok=True)
                    self._fs.get_file(file, str(folder / inner))
        except Exception as error:  # each file system has errors of its own
            reason = without_secrets(next(iter(str(error).splitlines()), ""))
            raise DataError(f"{path} cannot be copied here ({reason}).") from error


def order_of(name: str) -> tuple[int, str]:
    """Places names of checkpoints from the oldest to the newest."""
    step = _step(name)
    return (-1 if step is None else step, name)


def _step(name: str) -> int | None:
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else None
