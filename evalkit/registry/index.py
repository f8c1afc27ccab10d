"""Which task names there are: evalkit's own, those of include paths, and lm-eval's.

lm-eval reads some 14,000 YAML files to know its names, which takes seconds; the answer is kept in
the user's cache folder, by version.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, UsageError
from evalkit.paths import bundled, cache_folder
from evalkit.registry.families import family_of
from evalkit.registry.scan import heads
from evalkit.registry.yaml_file import check_yaml, read_yaml

# Raised whenever rows of the cache get another shape.
_SHAPE = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One name.

    Attributes:
        kind: `task`, `group`, `tag`, `probe` or `plug-in`.
        path: The YAML file; None for tags and probes.
        tasks: Members of a tag.
        family: Of a task, as its YAML or the table of families says.
        overrides: What the name says beyond the file, as that of a text to be read.
    """

    name: str
    kind: str
    path: Path | None = None
    tasks: tuple[str, ...] = ()
    family: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


class Index:
    """Names of evalkit's tasks and include paths at hand; lm-eval's are read when needed.

    Args:
        include_paths: Folders of further task YAML files; they win over evalkit's own.

    Raises:
        UsageError: An include path is no folder.
        DataError: A YAML file in one is malformed.
    """

    def __init__(self, include_paths: Sequence[Path] = ()) -> None:
        folders = [bundled("tasks"), *include_paths]
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"--include-path {folder} is no folder.")
        self.own: dict[str, Entry] = {}
        for folder in folders:
            for file in sorted(folder.rglob("*.yaml")):
                check_yaml(file)
            self.own.update(_scan(folder))

    @cached_property
    def stock(self) -> Mapping[str, Entry]:
        """Names of lm-eval's own tasks."""
        import lm_eval  # its tasks are files; the package that reads them takes a second to import

        root = Path(lm_eval.__file__).parent / "tasks"
        cache = cache_folder("index") / f"lm-eval-{version('lm_eval')}-{_SHAPE}.json"
        if cache.is_file():
            try:
                return _Stock(json.loads(cache.read_text(encoding="utf-8")), root)
            except (ValueError, TypeError, AttributeError, OSError):
                pass  # a damaged cache is made anew
        print("Indexing lm-eval's tasks, once for this version ...", file=sys.stderr)
        rows = _rows(root)
        _write_cache(cache, rows)
        return _Stock(rows, root)

    def get(self, name: str) -> Entry | None:
        """The entry of a name, evalkit's own first."""
        return self.own.get(name) or self.stock.get(name)

    def names(self) -> Iterator[str]:
        """Every known name, evalkit's own first."""
        yield from self.own
        yield from (name for name in self.stock if name not in self.own)


def entry_of(file: Path) -> Entry:
    """Entry of a single YAML file outside the index.

    Raises:
        DataError: It is malformed or defines neither a task nor a group.
    """
    config = read_yaml(file, resolve_functions=False)
    for kind in ("group", "task"):
        if isinstance(config.get(kind), str):
            return Entry(config[kind], kind, file.resolve())
    raise DataError(f"{file} defines no task: it needs a 'task:' or 'group:' name.")


def _scan(folder: Path) -> dict[str, Entry]:
    """Entries of a folder of our own or of the user's."""
    found = {}
    for name, (kind, path, tasks, output_type, family) in _rows(folder).items():
        own = family or family_of(name, output_type=output_type)
        file = None if path is None else folder / path
        found[name] = Entry(name, kind, file, tuple(tasks), own if kind == "task" else None)
    return found


_Row = tuple[str, str | None, list[str], str | None, str | None]
"""Kind, path within the folder, members of a tag, type of the answers, family the YAML names."""


def _rows(folder: Path) -> dict[str, _Row]:
    """Names as lm-eval would find them: the first file of a name counts, tags gather tasks."""
    rows: dict[str, _Row] = {}
    for file, head in heads(folder):
        if head.name is None or head.name in rows:
            continue
        path = str(file.relative_to(folder))
        rows[head.name] = (head.kind, path, [], head.output_type, head.family)
        for tag in head.tags if head.kind == "task" else ():
            members = rows.setdefault(tag, ("tag", None, [], None, None))[2]
            members.append(head.name)
    return {
        name: (kind, path, sorted(set(tasks)) if kind == "tag" else [], output_type, family)
        for name, (kind, path, tasks, output_type, family) in rows.items()
    }


def _write_cache(file: Path, rows: Mapping[str, _Row]) -> None:
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)  # a read-only home costs seconds, no more


class _Stock(Mapping[str, Entry]):
    """The cached rows as entries, each made when asked for: 14,000 paths take a third of a second.

    Raises:
        ValueError: A row has not the shape of `_Row`.
    """

    def __init__(self, rows: Mapping[str, _Row], root: Path) -> None:
        if not all(len(row) == 5 for row in rows.values()):
            raise ValueError("the index has another shape")
        self._rows = rows
        self._root = root

    def __getitem__(self, name: str) -> Entry:
        kind, path, tasks, output_type, family = self._rows[name]
        if kind != "task" or path is None:
            return Entry(name, kind, self._root / path if path else None, tuple(tasks))
        folder = path.partition("/")[0]
        family = family or family_of(name, folder, output_type)
        return Entry(name, kind, self._root / path, tuple(tasks), family)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
