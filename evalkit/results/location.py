"""Where a store lies: a folder or an object store, opened by one URL."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from evalkit.errors import EvalkitError, EvaluationError, UsageError
from evalkit.redact import without_secrets
from evalkit.results.parquet import first_line

_BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "hf"}
_WITH_PASSWORD = re.compile(rf"(?:{'|'.join(sorted(_BUCKETS))})://[^/@]*:[^/]*@", re.IGNORECASE)


class Location:
    """A folder or a prefix of an object store, read and written through fsspec.

    Args:
        url: A path or any fsspec URL (`s3://bucket/prefix`, `memory://store`).

    Raises:
        UsageError: The URL has credentials in it, or names an unknown kind of file system.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        if _WITH_PASSWORD.match(self.url):
            raise UsageError(
                f"The store {self.shown_url} has credentials in its URL, where a bucket's name "
                "belongs; give them as its environment variables do."
            )
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"Cannot open the store {self.shown_url}: {error}.") from error

    @property
    def shown_url(self) -> str:
        """The URL without credentials, for people."""
        return without_secrets(self.url)

    def check_writable(self) -> None:
        """Raise `UsageError` unless a file can be written here; leaves nothing behind."""
        missing = [] if self._fs.exists(self._root) else self._missing_folders()
        probe = f"{self._root}/.evalkit-write-test"
        try:
            self.make_folder(self._root)
            self._fs.pipe_file(probe, b"")
            self._fs.rm_file(probe)
            if isinstance(self._fs, LocalFileSystem):  # an object store has no folders to remove
                for folder in missing:
                    self._fs.rmdir(folder)
        except Exception as error:  # each file system has errors of its own
            reason = without_secrets(str(error))
            raise UsageError(
                f"The store {self.shown_url} cannot be written ({reason}); name another with "
                "--store."
            ) from error

    def make_folder(self, path: str) -> None:
        """Object stores have no folders; asked for one, some would make a bucket."""
        protocols = self._fs.protocol
        if not _BUCKETS & set([protocols] if isinstance(protocols, str) else protocols):
            self._fs.makedirs(path, exist_ok=True)

    def _missing_folders(self) -> list[str]:
        """Folders that creating the store's root would create, deepest first."""
        folders = []
        folder = self._root.rstrip("/")
        while folder and not self._fs.exists(folder):
            folders.append(folder)
            folder = self._fs._parent(folder)
        return folders

    @property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        """The file system the store lies on, for queries that read parts of a file."""
        return self._fs

    @property
    def root(self) -> str:
        """Path of the store inside its file system."""
        return str(self._root).rstrip("/")

    @property
    def local_root(self) -> Path | None:
        """The store's folder, where it is one of this machine."""
        return Path(self.root) if isinstance(self._fs, LocalFileSystem) else None

    @property
    def exists(self) -> bool:
        """Whether there is anything where the store would be.

        Raises:
            UsageError: It is a file.
        """
        root = self.local_root
        if root is not None and root.exists() and not root.is_dir():
            raise UsageError(f"The store {self.shown_url} is a file; name a folder with --store.")
        with self.reading():
            return bool(self._fs.exists(self._root))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say in one sentence that an object store cannot be reached."""
        try:
            yield
        except EvalkitError:
            raise
        except Exception as error:  # each file system has errors of its own
            if self.local_root is not None:
                raise
            raise EvaluationError(
                f"The store {self.shown_url} cannot be read ({first_line(error)})."
            ) from error
