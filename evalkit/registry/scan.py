"""Which names a folder of task files defines, read from the first letters of their lines.

To parse lm-eval's 14,000 YAML files takes seven seconds; but an index wants six keys of each, which
stand at the beginning of a line and are plain words nearly everywhere. A file where they are not is
parsed, so that both ways find the same.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_KEYS = re.compile(
    r"^(task|group|tag|class|include|output_type|metadata)[ \t]*:(?:[ \t]+(.*?))?[ \t]*\r?$", re.M
)
# What makes a line's beginning mean something else: documents, merges, anchors, flow, quoted keys.
_ODD = re.compile(r"^(?:---|\.\.\.|<<|[?{%&*!'\"\[])|\tfamily|^\s+family[ \t]*:", re.M)
_WORD = re.compile(r"[A-Za-z_][\w./+-]*")
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_ITEM = re.compile(r"[ \t]*-[ \t]+([^\s#]+)[ \t]*\r?$")


class _UnclearError(Exception):
    """The file has to be parsed."""


@dataclass(frozen=True, slots=True)
class Head:
    """What an index wants of one file.

    Attributes:
        kind: `task` or `group`.
        tags: Names that stand for it and others.
        output_type: lm-eval's type of its answers; None where that is no text.
        family: What `metadata` says.
    """

    kind: str
    name: str | None
    tags: tuple[str, ...] = ()
    output_type: str | None = "generate_until"
    family: str | None = None


def heads(folder: Path) -> Iterator[tuple[Path, Head]]:
    """Heads of the files that define something, in the order in which lm-eval reads them."""
    known: dict[Path, dict[str, Any]] = {}
    for file in sorted(folder.glob("**/*.yaml"), key=Path.as_posix):
        if {"__pycache__", ".ipynb_checkpoints"} & set(file.parts):
            continue
        try:
            head = _head(_keys(file, known, ()))
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            continue  # as in lm-eval, a file that cannot be read defines nothing
        if head.name:
            yield file, head


def _head(keys: dict[str, Any]) -> Head:
    metadata = keys.get("metadata")
    family = metadata.get("family") if isinstance(metadata, dict) else None
    tags = keys.get("tag") or ()
    output = keys.get("output_type", "generate_until")
    kind = "task" if "class" in keys else "group" if "group" in keys else "task"
    name = keys.get(kind)
    return Head(
        kind,
        name if isinstance(name, str) else None,
        tuple(map(str, tags if isinstance(tags, list) else [tags] if tags else [])),
        output if isinstance(output, str) else None,
        str(family) if family else None,
    )


def _keys(file: Path, known: dict[Path, dict[str, Any]], above: tuple[Path, ...]) -> dict[str, Any]:
    """The six keys of a file, those of its includes beneath them."""
    if file in known:
        return known[file]
    if file in above:
        raise ValueError(f"{file} includes itself")
    text = file.read_text(encoding="utf-8")
    try:
        own = _plain_keys(text)
    except _UnclearError:
        own = _parsed_keys(text)
    merged: dict[str, Any] = {}
    included = own.pop("include", None) or []
    for name in included if isinstance(included, list) else [included]:
        inner = Path(os.path.normpath(file.parent / str(name)))
        merged.update(_keys(inner, known, (*above, file)))
    merged.update(own)
    if above:  # only what is included is asked for again
        known[file] = merged
    return merged


def _plain_keys(text: str) -> dict[str, Any]:
    if _ODD.search(text):
        raise _UnclearError
    found: dict[str, Any] = {}
    for match in _KEYS.finditer(text):
        key, value = match.group(1), match.group(2) or ""
        if key in found:
            raise _UnclearError
        found[key] = _value(key, value.partition(" #")[0].rstrip(), text[match.end() + 1 :])
    return found


def _value(key: str, value: str, below: str) -> Any:
    if key == "metadata":
        return None  # a file whose metadata name a family is parsed
    if key == "class":
        return value
    if not value and key == "tag":
        return _items(below)
    if not value and key == "task":
        return None  # the list of a group
    if value[:1] == value[-1:] and value[:1] in "'\"" and len(value) > 2:
        value = value[1:-1]
        if "'" in value or '"' in value or "\\" in value:
            raise _UnclearError
        return value
    if not _WORD.fullmatch(value) or value.lower() in _NOT_TEXT:
        raise _UnclearError
    return value


def _items(below: str) -> list[str]:
    """Words of a list that stands in lines of its own."""
    found = []
    for line in below.split("\n"):
        if not line.strip():
            continue
        match = _ITEM.match(line)
        if match is None:
            break
        if not _WORD.fullmatch(match.group(1)) or match.group(1).lower() in _NOT_TEXT:
            raise _UnclearError
        found.append(match.group(1))
    if not found:
        raise _UnclearError
    return found


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads `!function` as text."""


_Loader.add_constructor("!function", lambda loader, node: str(node.value))


def _parsed_keys(text: str) -> dict[str, Any]:
    content = yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from the safe loader
    if not isinstance(content, dict):
        raise ValueError("no mapping")
    wanted = ("task", "group", "tag", "class", "include", "output_type", "metadata")
    return {key: content[key] for key in wanted if key in content}
