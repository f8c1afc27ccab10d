"""The registry: from what the user typed to tasks that can be run."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, UsageError
from evalkit.probes import PROBES, WRAPPERS, ProbeOptions
from evalkit.registry.index import Entry, Index, entry_of
from evalkit.registry.plugins import installed_plugins
from evalkit.registry.task import Task
from evalkit.registry.text_files import TEXT_TASKS, text_entry
from evalkit.registry.trust import Trust
from evalkit.registry.yaml_file import read_yaml

_GLOB = set("*?[")
_TASKS = ("task", "probe", "plug-in")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One task to load, with what its suite overrides."""

    entry: Entry
    overrides: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Selection:
    """What `--tasks` stands for: leaf tasks in order, and the suites that were named."""

    leaves: dict[str, Leaf]
    suites: dict[str, list[str]]


class Registry:
    """Finds tasks by name, glob, suite or YAML path, and loads them.

    Args:
        include_paths: Folders of further task YAML files.
        mirror: Folder in the hub's layout that tasks' data is read from.
        trust: Which task files may run Python of their own.
        options: What the user has chosen about probes.

    Raises:
        UsageError: A folder does not exist.
    """

    def __init__(
        self,
        include_paths: Sequence[Path] = (),
        mirror: Path | None = None,
        trust: Trust | None = None,
        options: ProbeOptions | None = None,
    ) -> None:
        if mirror is not None and not mirror.is_dir():
            raise UsageError(f"--mirror {mirror} is no folder.")
        self._index = Index(include_paths)
        self._plugins = installed_plugins()
        self._mirror = mirror
        self._trust = trust or Trust()
        self._options = options or ProbeOptions()
        self._opening: list[str] = []

    def entries(self, stock: bool = True) -> list[Entry]:
        """Every known task, suite and probe, evalkit's own first, those of plug-ins next."""
        probes = [Entry(n, "probe", family=probe.family) for n, probe in PROBES.items()]
        probes += [Entry(name, "plug-in") for name in self._plugins if name not in PROBES]
        own = list(self._index.own.values())
        return probes + own + (list(self._index.stock.values()) if stock else [])

    def select(self, patterns: Sequence[str]) -> Selection:
        """Resolve names, globs, suites and YAML paths to leaf tasks.

        Raises:
            UsageError: A pattern fits nothing; the message names the nearest.
            DataError: A YAML file is malformed.
        """
        leaves: dict[str, Leaf] = {}
        suites: dict[str, list[str]] = {}
        for entry in [entry for pattern in patterns for entry in self.match(pattern)]:
            found = {leaf.entry.name: leaf for leaf in self._expand(entry, {})}
            if entry.kind in ("group", "tag"):
                suites[entry.name] = list(found)
            leaves.update({name: leaf for name, leaf in found.items() if name not in leaves})
        if not leaves:
            raise UsageError("No tasks were named; see 'evalkit ls tasks'.")
        return Selection(leaves, suites)

    def load(
        self, leaf: Leaf, num_fewshot: int | None = None, fewshot_seeding: str = "document"
    ) -> Task:
        """Load one task with its data.

        Raises:
            DataError: Its definition is wrong or its data is missing.
        """
        wrapper, slash, inner = leaf.entry.name.partition("/")
        if slash and wrapper in WRAPPERS:
            wrapped = Leaf(self._member(inner, leaf.entry), leaf.overrides)
            return WRAPPERS[wrapper](self.load(wrapped, num_fewshot, fewshot_seeding))
        if leaf.entry.kind == "plug-in":
            return self._plugins[leaf.entry.name].make(self._options)
        if leaf.entry.kind == "probe":
            return PROBES[leaf.entry.name].make(self._options)
        from evalkit.registry.loading import load_yaml_task

        return load_yaml_task(
            leaf.entry,
            leaf.overrides,
            self._mirror,
            num_fewshot,
            fewshot_seeding,
            self._trust,
        )

    def aggregates(self, suite: str) -> list[tuple[str, tuple[str, ...], bool]]:
        """Metrics that a suite gives as one figure: name, filters (all for none), by size or not.

        Raises:
            DataError: The suite's file is malformed.
        """
        entry = self.find(suite)
        if entry is None or entry.kind != "group" or entry.path is None:
            return []
        listed = read_yaml(entry.path, resolve_functions=False).get("aggregate_metric_list") or []
        found = []
        for row in listed if isinstance(listed, list) else [listed]:
            if isinstance(row, Mapping) and row.get("aggregation", "mean") == "mean":
                names = row.get("filter_list") or ()
                filters = (names,) if isinstance(names, str) else tuple(names)
                found.append(
                    (str(row.get("metric")), filters, bool(row.get("weight_by_size", True)))
                )
        return found

    def wrapped(self, entry: Entry) -> Entry:
        """The task that `robust/TASK` and the like are made of; other entries are their own."""
        wrapper, slash, inner = entry.name.partition("/")
        found = self.find(inner) if slash and wrapper in WRAPPERS else None
        return entry if found is None else self.wrapped(found)

    def columns(self, leaf: Leaf) -> dict[str, list[str]] | None:
        """Fields of a YAML task's documents by split; None where a class brings its own.

        Raises:
            UsageError: It runs Python that is not trusted.
            DataError: Its definition is wrong or its data is missing.
        """
        from evalkit.registry.loading import data_columns

        return data_columns(leaf.entry, leaf.overrides, self._mirror, self._trust)

    def about(self, entry: Entry) -> str:
        """First paragraph of a probe's docstring; empty for tasks in YAML and broken plug-ins."""
        try:
            made = (
                PROBES.get(entry.name)
                or WRAPPERS.get(entry.name.partition("/")[0])
                or self._plugins[entry.name].probe
            )
        except (KeyError, DataError):
            return ""
        return inspect.cleandoc(made.__doc__ or "").partition("\n\n")[0]

    def family(self, entry: Entry) -> str | None:
        """Family of a task; a plug-in is imported to be asked.

        Raises:
            DataError: The plug-in is broken.
        """
        if entry.kind == "plug-in":
            return self._plugins[entry.name].probe.family
        return entry.family

    def origin(self, entry: Entry) -> str:
        """Where an entry comes from: its file, or the package of a probe."""
        if entry.kind == "plug-in":
            return self._plugins[entry.name].origin
        return str(entry.path) if entry.path else "evalkit.probes" if entry.kind == "probe" else ""

    def match(self, pattern: str) -> list[Entry]:
        """Entries that a name, glob or YAML path stands for, suites unopened.

        Raises:
            UsageError: It fits nothing; the message names the nearest.
            DataError: The YAML file is malformed.
        """
        text = text_entry(pattern)
        if text is not None:
            return [text]
        if pattern.endswith((".yaml", ".yml")):
            if not Path(pattern).is_file():
                raise UsageError(f"There is no task file {pattern}.")
            return [entry_of(Path(pattern))]
        entry = self.find(pattern)
        if entry is not None:
            return [entry]
        if _GLOB & set(pattern):
            names = [
                e.name
                for e in self.entries()
                if fnmatchcase(e.name, pattern) and e.name not in TEXT_TASKS
            ]
            matched = [self.find(name) for name in dict.fromkeys(names)]
            tasks = [e for e in matched if e is not None and e.kind in _TASKS]
            if tasks:
                return tasks
        raise UsageError(f"There is no task {pattern!r}{self.nearest(pattern)}")

    def find(self, name: str) -> Entry | None:
        """The entry of a name; None where there is none."""
        wrapper, slash, inner = name.partition("/")
        if slash and wrapper in WRAPPERS:
            found = self.find(inner)
            return Entry(name, "probe") if found and found.kind in _TASKS else None
        if name in PROBES:
            return Entry(name, "probe", family=PROBES[name].family)
        known = self._index.own.get(name)
        if known is None and name in self._plugins:
            return Entry(name, "plug-in")
        return known or self._index.get(name)

    def nearest(self, name: str) -> str:
        """A hint at what may have been meant by a name that does not exist."""
        near = get_close_matches(name, [e.name for e in self.entries()], n=3, cutoff=0.6)
        return f"; did you mean {', '.join(near)}?" if near else "; see 'evalkit ls tasks'."

    def _expand(self, entry: Entry, overrides: Mapping[str, Any]) -> Iterator[Leaf]:
        """Leaf tasks of an entry, groups and tags opened in order."""
        if entry.kind == "tag":
            for name in entry.tasks:
                yield from self._expand(self._member(name, entry), overrides)
        elif entry.kind == "group":
            yield from self._expand_group(entry, overrides)
        else:
            yield Leaf(entry, overrides)

    def _expand_group(self, group: Entry, overrides: Mapping[str, Any]) -> Iterator[Leaf]:
        from lm_eval.config.group import GroupConfig

        if group.path is None:
            return
        if group.name in self._opening:
            raise DataError(f"{group.path}: the suite {group.name} contains itself.")
        self._trust.check_functions(group.path)
        config = read_yaml(group.path)
        for settings in _mappings(config):
            self._trust.check_metrics(group.path, settings.get("metric_list"))
        own = {k: v for k, v in config.items() if k not in GroupConfig.__dataclass_fields__}
        members = config.get("task") or []
        self._opening.append(group.name)
        yield from self._expand_members(members, group, {**own, **overrides})
        self._opening.pop()

    def _expand_members(
        self, members: Any, group: Entry, overrides: Mapping[str, Any]
    ) -> Iterator[Leaf]:
        for member in members if isinstance(members, list) else [members]:
            if isinstance(member, str):
                yield from self._expand(self._member(member, group), overrides)
                continue
            if not isinstance(member, dict) or not isinstance(
                name := member.get("group") or member.get("task"), str
            ):
                raise DataError(f"{group.path} names the member {member!r}, which is no task name.")
            settings = {k: v for k, v in member.items() if k not in ("group", "task")}
            if "group" in member and self.find(name) is None:
                inner = {**overrides, **settings}
                yield from self._expand_members(member.get("task") or [], group, inner)
            else:
                yield from self._expand(self._member(name, group), {**overrides, **settings})

    def _member(self, name: str, parent: Entry) -> Entry:
        entry = self.find(name)
        if entry is None:
            raise UsageError(
                f"The suite {parent.name} names the task {name!r}, which does not exist"
                f"{self.nearest(name)}"
            )
        return entry


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """A group's settings, and those of its members."""
    if isinstance(value, Mapping):
        yield value
        yield from _mappings(value.get("task"))
    elif isinstance(value, list):
        for inner in value:
            yield from _mappings(inner)
