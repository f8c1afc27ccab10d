"""YAML with the file and line of every part, so that a complaint can point at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FUNCTION = "!function"


@dataclass(frozen=True, slots=True)
class Function:
    """A `!function module.name` tag."""

    spec: str


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a YAML file.

    Attributes:
        value: Its content as plain Python, tags as `Function`.
        line: Where it begins, from 1.
        text_line: Where the text of a block begins; 0 for other text.
        items: Parts of a mapping, by key.
        parts: Parts of a sequence.
    """

    file: Path
    line: int
    value: Any
    text_line: int = 0
    items: Mapping[str, "Node"] = field(default_factory=dict)
    parts: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """This part and all below it."""
        yield self
        for inner in (*self.items.values(), *self.parts):
            yield from inner.walk()


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong, and where."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def read_located(file: Path, found: list[Mistake]) -> Node | None:
    """The content of a YAML file; None where it cannot be read, which is added to the mistakes."""
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _located(node, file, found)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        found.append(
            Mistake(file, mark.line + 1 if mark else 1, f"malformed YAML: {error.problem}")
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        found.append(Mistake(file, 1, f"cannot be read: {str(error).splitlines()[0]}"))
    return None


def _located(node: yaml.Node, file: Path, found: list[Mistake]) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        items: dict[str, Node] = {}
        for key, value in node.value:
            name = str(getattr(key, "value", ""))
            if name in items:
                found.append(Mistake(file, key.start_mark.line + 1, f"the key {name!r} twice"))
            items[name] = _located(value, file, found)
        return Node(file, line, {k: v.value for k, v in items.items()}, items=items)
    if isinstance(node, yaml.SequenceNode):
        parts = tuple(_located(part, file, found) for part in node.value)
        return Node(file, line, [part.value for part in parts], parts=parts)
    below = line + 1 if getattr(node, "style", None) in ("|", ">") else 0
    return Node(file, line, _scalar(node, file, found), below)


def _scalar(node: yaml.Node, file: Path, found: list[Mistake]) -> Any:
    if node.tag == FUNCTION:
        return Function(str(node.value))
    try:
        return yaml.SafeLoader("").construct_object(node)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        found.append(Mistake(file, node.start_mark.line + 1, f"{reason}"))
        return None
