"""Finds what is wrong with a task file, all of it, each with its file and line."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from evalkit.errors import EvalkitError
from evalkit.registry.index import Entry
from evalkit.registry.located import Function, Mistake, Node, read_located
from evalkit.registry.registry import Leaf, Registry
from evalkit.registry.schema import (
    Keys,
    check_task,
    environment,
    nearest,
    output_of,
    template_nodes,
)


def validate(file: Path, registry: Registry, others: frozenset[str] = frozenset()) -> list[Mistake]:
    """Everything wrong with a task or suite file, in order of lines.

    A task whose text is in order is loaded, and its templates are rendered on one document.

    Args:
        file: The YAML file.
        registry: Knows the other tasks, the mirror, and what may run.
        others: Names that files checked together with this one define.
    """
    found: list[Mistake] = []
    top = read_located(file, found)
    if top is None:
        return found or [Mistake(file, 1, "it is empty")]
    if not top.items:
        return [*found, Mistake(file, top.line, "it is no mapping of keys to values")]
    keys = _merged(top, found, [file.resolve()])
    group, task = keys.get("group"), keys.get("task")
    if group is not None and isinstance(group.value, str):
        found.extend(_check_group(keys, registry, others))
    elif task is None or not isinstance(task.value, str):
        found.append(Mistake(file, top.line, "it defines nothing: 'task' or 'group' is missing"))
    else:
        found.extend(check_task(keys, top))
        if not found:
            found.extend(_check_asked(keys, registry, file))
    return sorted(set(found))


def defined_name(file: Path) -> str | None:
    """Name of the task or suite that a file defines, if it can be read."""
    top = read_located(file, [])
    for key in ("group", "task"):
        node = top.items.get(key) if top is not None else None
        if node is not None and isinstance(node.value, str):
            return node.value
    return None


def _merged(top: Node, found: list[Mistake], seen: list[Path]) -> Keys:
    """The file's keys over those of the files that it includes."""
    keys: dict[str, Node] = {}
    include = top.items.get("include")
    for node in (include.parts or (include,)) if include is not None else ():
        inner = (top.file.parent / str(node.value)).expanduser().resolve()
        if inner in seen:
            found.append(Mistake(node.file, node.line, f"{inner} includes itself"))
        elif not inner.is_file():
            found.append(
                Mistake(node.file, node.line, f"it includes {inner}, which does not exist")
            )
        else:
            included = read_located(inner, found)
            if included is not None:
                keys.update(_merged(included, found, [*seen, inner]))
    keys.update({name: node for name, node in top.items.items() if name != "include"})
    return keys


def _check_group(keys: Keys, registry: Registry, others: frozenset[str]) -> Iterator[Mistake]:
    from lm_eval.config.group import GroupConfig
    from lm_eval.config.task import TaskConfig

    known = [f.name for config in (GroupConfig, TaskConfig) for f in fields(config)]
    for name, node in keys.items():
        if name not in known:
            message = f"no suite has the key {name!r}{nearest(name, known)}"
            yield Mistake(node.file, node.line, message)
    yield from _check_figures(keys.get("aggregate_metric_list"))
    members = keys.get("task")
    if members is None or not members.value:
        node = keys["group"]
        yield Mistake(node.file, node.line, "the suite names no tasks")
        return
    for member in members.parts or (members,):
        yield from _check_member(member, registry, others)


def _check_figures(listed: Node | None) -> Iterator[Mistake]:
    """Entries that say how the suite's tasks make one figure."""
    from lm_eval.config.group import AggMetricConfig

    known = [f.name for f in fields(AggMetricConfig)]
    for entry in (listed.parts or (listed,)) if listed is not None else ():
        if "metric" not in entry.items:
            message = "an entry of aggregate_metric_list needs the key 'metric'"
            yield Mistake(entry.file, entry.line, message)
        for name, node in entry.items.items():
            if name not in known:
                message = f"aggregate_metric_list has no key {name!r}{nearest(name, known)}"
                yield Mistake(node.file, node.line, message)
        how = entry.items.get("aggregation")
        if how is not None and how.value != "mean" and not isinstance(how.value, Function):
            message = f"a suite's figure is a mean of its tasks', not {how.value!r}"
            yield Mistake(how.file, how.line, message)


def _check_member(member: Node, registry: Registry, others: frozenset[str]) -> Iterator[Mistake]:
    named = member.items.get("task") or member.items.get("group") or member
    inner = member.items.get("task")
    if "group" in member.items and inner is not None and inner.parts:
        for part in inner.parts:
            yield from _check_member(part, registry, others)
    elif not isinstance(named.value, str):
        yield Mistake(named.file, named.line, f"{named.value!r} is no task name")
    elif named.value not in others and registry.find(named.value) is None:
        hint = registry.nearest(named.value)
        message = f"there is no task {named.value!r}{hint}".rstrip(".")
        yield Mistake(named.file, named.line, message)


def _check_asked(keys: Keys, registry: Registry, file: Path) -> Iterator[Mistake]:
    """Load the data, check what refers to it, and render one document."""
    name = str(keys["task"].value)
    leaf = Leaf(Entry(name, "task", file.resolve()), {})
    where = _finder(keys)
    try:
        splits = registry.columns(leaf)
    except EvalkitError as error:
        yield where(_blamed(str(error)), str(error))
        return
    mistakes = list(_check_fields(keys, splits)) if splits is not None else []
    yield from mistakes
    if mistakes:
        return
    try:
        task = registry.load(leaf)
        document = task.documents(1, seed=0)[0]
    except EvalkitError as error:
        yield where(_blamed(str(error)), str(error))
        return
    gold = getattr(task, "gold", lambda _: None)(document.doc_id)
    if output_of(keys) == "multiple_choice" and gold is not None and gold < 0:
        message = f"the target of the first document, {document.target!r}, is none of the choices"
        yield where(("doc_to_target", "task"), message)


def _check_fields(keys: Keys, splits: Mapping[str, list[str]]) -> Iterator[Mistake]:
    """Splits that the data lacks, and fields that its documents lack."""
    from jinja2 import meta

    for key in ("training_split", "validation_split", "test_split", "fewshot_split"):
        node = keys.get(key)
        if node is not None and node.value is not None and node.value not in splits:
            message = f"the data has no split {node.value!r}, only {', '.join(splits)}"
            yield Mistake(node.file, node.line, message)
    asked = keys.get("test_split") or keys["validation_split"]
    columns = splits.get(str(asked.value))
    if columns is None or "process_docs" in keys:
        return
    for key, node in template_nodes(keys):
        unknown = meta.find_undeclared_variables(environment().parse(node.value)) - set(columns)
        for name in sorted(unknown):
            hint = nearest(name, columns)
            yield Mistake(node.file, node.line, f"{key}: documents have no field {name!r}{hint}")
        if not unknown and node.value.isidentifier() and node.value not in columns:
            hint = nearest(node.value, columns)
            if hint or key == "doc_to_choice":
                message = f"{key}: documents have no field {node.value!r}{hint}"
                yield Mistake(node.file, node.line, message)
    metadata = keys.get("metadata")
    for key in ("cluster", "category"):
        place = metadata.items.get(key) if metadata is not None else None
        if place is not None and place.value not in columns:
            hint = nearest(str(place.value), columns)
            message = f"{key}: documents have no field {place.value!r}{hint}"
            yield Mistake(place.file, place.line, message)


def _finder(keys: Keys) -> Callable[[tuple[str, ...], str], Mistake]:
    def where(names: tuple[str, ...], message: str) -> Mistake:
        node = next((keys[name] for name in names if name in keys), next(iter(keys.values())))
        return Mistake(node.file, node.line, message.rstrip("."))

    return where


def _blamed(message: str) -> tuple[str, ...]:
    """Keys that a failure is likely about, by its words."""
    about: dict[str, tuple[str, ...]] = {
        "decoding": ("generation_kwargs",),
        "metric": ("metric_list",),
        "data file": ("dataset_kwargs",),
        "names none": ("dataset_kwargs", "dataset_path"),
        "data set": ("dataset_path",),
        "cannot be asked": ("doc_to_text",),
        "list index out of range": ("doc_to_target",),
    }
    found = [keys for word, keys in about.items() if word in message]
    return (*(found[0] if found else ()), "task")
