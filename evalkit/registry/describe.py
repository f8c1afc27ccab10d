"""What a task asks, in words and by one rendered document."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.registry.data import BUILDERS
from evalkit.registry.licence import licence_of
from evalkit.registry.registry import Leaf, Registry
from evalkit.registry.task import Task
from evalkit.registry.yaml_file import read_yaml
from evalkit.types import Document, Metric, RequestKind

_TITLE = re.compile(r"Title:\W*([^`\n]+)")


@dataclass(frozen=True, slots=True)
class Description:
    """A task for people.

    Attributes:
        about: What it measures, in its author's words.
        facts: Heading -> text: source, data, licence, citation, size.
        metrics: Name -> how it becomes a score.
        document: The first document as it would be asked; None where the data is not at hand.
        right: Positions of its right answers among the choices.
        problem: Why there is no document.
    """

    name: str
    family: str | None
    kind: str
    about: str
    facts: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    document: Document | None = None
    right: tuple[int, ...] = ()
    problem: str = ""


def describe(
    registry: Registry, leaf: Leaf, mirror: Path | None = None, num_fewshot: int | None = None
) -> Description:
    """Everything known about a task; what is wrong with its data is part of the answer.

    Args:
        registry: Where it was found.
        leaf: The task.
        mirror: Folder in the hub's layout; the data set's card there may give a licence.
        num_fewshot: Examples to show; None for the task's own number.

    Raises:
        DataError: The YAML file itself is malformed.
    """
    entry = leaf.entry
    config = {} if entry.path is None else read_yaml(entry.path, resolve_functions=False)
    facts = {"Source": registry.origin(entry), **_data_facts({**config, **leaf.overrides}, mirror)}
    try:
        task = registry.load(leaf, num_fewshot)
        document = task.documents(1, seed=0)[0]
    except EvalkitError as error:
        about = registry.about(entry) or _about(entry.path, config)
        return Description(
            entry.name, entry.family, entry.kind, about, _known(facts), problem=str(error)
        )
    about = _about(entry.path, config) if entry.path else registry.about(entry)
    if entry.path is None:
        data = "" if task.source.startswith("evalkit.") else task.source
        facts |= {"Data": data, "Licence": task.licence or ""}
    facts["Size"] = _size(task, document)
    return Description(
        task.name,
        task.family,
        entry.kind,
        about,
        _known(facts),
        _metrics(task),
        document,
        right_choices(task, document),
    )


def _known(facts: Mapping[str, str]) -> dict[str, str]:
    return {heading: text for heading, text in facts.items() if text}


def _about(file: Path | None, config: Mapping[str, Any]) -> str:
    """The comment that opens the file, else its description, else its folder's paper."""
    if file is None:
        return ""
    lines = file.read_text(encoding="utf-8").splitlines()
    opening: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        opening.append(line.lstrip("# ").rstrip())
    metadata = config.get("metadata")
    described = metadata.get("description") if isinstance(metadata, Mapping) else None
    return " ".join(opening) or str(described or "") or _paper(file)


def _paper(file: Path) -> str:
    """Title of the paper that lm-eval's README of the folder names."""
    for folder in (file.parent, file.parent.parent):
        readme = folder / "README.md"
        if readme.is_file() and folder.name != "tasks":
            found = _TITLE.search(readme.read_text(encoding="utf-8", errors="replace"))
            return found.group(1).strip(" `*") if found else ""
    return ""


def _data_facts(config: Mapping[str, Any], mirror: Path | None) -> dict[str, str]:
    metadata = config.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    path, name = config.get("dataset_path"), config.get("dataset_name")
    split = config.get("test_split") or config.get("validation_split")
    data = ""
    if isinstance(path, str) and path not in BUILDERS:
        data = path + (f", {name}" if name else "") + (f", split {split}" if split else "")
    return {
        "Data": data,
        "Licence": licence_of(config, mirror) or "",
        "Citation": str(metadata.get("citation") or ""),
    }


def _size(task: Task, document: Document) -> str:
    size = getattr(task, "size", None)
    documents = len(task.documents(None, seed=0)) if size is None else int(size)
    requests = len(document.requests)
    each = "one request each" if requests == 1 else f"{requests} requests each"
    return f"{documents:,} documents, {each}, {task.num_fewshot}-shot"


def _metrics(task: Task) -> dict[str, Metric]:
    return dict(getattr(task, "listed_metrics", None) or task.metrics)


def right_choices(task: Task, document: Document) -> tuple[int, ...]:
    """Positions of the right choices, where the task knows them."""
    known = getattr(task, "gold", None)
    if callable(known):
        gold = known(document.doc_id)
        return (gold,) if isinstance(gold, int) and 0 <= gold < len(document.choices) else ()
    target = document.target.strip()
    return tuple(n for n, choice in enumerate(document.choices) if choice.strip() == target)


def prompt_of(document: Document) -> str:
    """What the model reads: the context of the first request, or the text it scores."""
    first = document.requests[0]
    return first.continuation if first.kind is RequestKind.ROLLING else first.context
