"""Rows to learn from, read from a JSONL file and checked line by line."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from evalkit.errors import DataError
from evalkit.training.adapt.micro import micro_rows
from evalkit.training.adapt.recipe import MICRO_WORLD, Data, Method

Row = dict[str, Any]

LAYOUTS: dict[str, dict[str, tuple[type, ...]]] = {
    "messages": {"messages": (list,)},
    "prompt and completion": {"prompt": (str, list), "completion": (str, list)},
    "prompt, chosen and rejected": {
        "prompt": (str, list),
        "chosen": (str, list),
        "rejected": (str, list),
    },
    "prompt": {"prompt": (str, list)},
    "text and label": {"text": (str,), "label": (str, int)},
    "text": {"text": (str,)},
}
"""Layout -> its columns and the types of their values; a list is one of messages."""

READ_BY: dict[str, tuple[str, ...]] = {
    "sft": ("messages", "prompt and completion"),
    "dpo": ("prompt, chosen and rejected",),
    "reward": ("prompt, chosen and rejected",),
    "grpo": ("prompt",),
    "classifier": ("text and label",),
    "distil": ("text",),
}
"""Method -> layouts it reads."""
_MICRO_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Rows:
    """What there is to learn from, and what was set aside.

    Attributes:
        layout: A key of `LAYOUTS`.
        source: File, or name of the generator.
        train: Rows to learn from.
        held_out: Rows whose prompts do not occur in `train`.
    """

    layout: str
    source: str
    train: list[Row]
    held_out: list[Row]

    @property
    def sha256(self) -> str:
        """Hash over the rows to learn from, in order, as JSON, each followed by a zero byte."""
        total = hashlib.sha256()
        for row in self.train:
            total.update(_json(row).encode("utf-8", "surrogatepass") + b"\0")
        return total.hexdigest()

    @property
    def characters(self) -> int:
        """Characters in the rows to learn from."""
        return sum(len(text) for row in self.train for text in _texts(row))

    @property
    def kinds(self) -> dict[str, int]:
        """Kind of row -> how many there are to learn from."""
        return dict(
            sorted(Counter(str(row.get("kind", self.source)) for row in self.train).items())
        )


def load_rows(data: Data, method: Method) -> Rows:
    """Read or make the rows of a recipe and set some prompts aside.

    Raises:
        DataError: The file cannot be read, or a line of it is not what the method reads.
        UsageError: There is no such kind of micro-world row.
    """
    if data.source == MICRO_WORLD:
        layout = READ_BY[method][-1]
        wanted = data.rows or _MICRO_ROWS
        rows: list[Row] = micro_rows(method, data.kinds, wanted, data.seed)
    else:
        layout, rows = read_jsonl(Path(data.source), READ_BY[method])
        if data.rows is not None:
            rows = rows[: data.rows]
    train, held_out = _split(rows, data.held_out, data.seed)
    if not train or not held_out:
        raise DataError(
            f"{data.source} has {len(rows)} rows, too few to learn from some and measure on others."
        )
    return Rows(layout, data.source, train, held_out)


def read_jsonl(path: Path, layouts: Iterable[str]) -> tuple[str, list[Row]]:
    """All rows of a file and their layout, the first of `layouts` that fits the first row.

    Raises:
        DataError: The file cannot be read, or a line is no row of that layout.
    """
    rows: list[Row] = []
    layout: str | None = None
    for place, row in _lines(path):
        layout = layout or _layout(place, row, layouts)
        rows.append(_checked(place, row, layout))
    if layout is None:
        raise DataError(f"{path} has no rows.")
    return layout, rows


def group(row: Row) -> str:
    """What may not be on both sides of the split: the prompt, or the text."""
    if "messages" in row:
        return _json(row["messages"][:-1])
    return _json(row.get("prompt", row.get("text")))


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}, line {number}", _parsed(f"{path}, line {number}", line)
    except OSError as error:
        raise DataError(f"Cannot read the data {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"Cannot read the data {path}: it is not UTF-8 text.") from None


def _parsed(place: str, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON: {getattr(error, 'msg', error)}.") from None


def _layout(place: str, row: Any, layouts: Iterable[str]) -> str:
    choices = list(layouts)
    found = next((name for name in choices if _has(row, name)), None)
    if found is None:
        held = f"the columns {', '.join(map(str, row))}" if isinstance(row, dict) else "no object"
        raise DataError(f"{place} has {held}; what is read here is {' or '.join(choices)}.")
    return found


def _has(row: Any, layout: str) -> bool:
    return isinstance(row, dict) and LAYOUTS[layout].keys() <= row.keys()


def _checked(place: str, row: Any, layout: str) -> Row:
    """The row's columns that count, each of the right type."""
    if not _has(row, layout):
        raise DataError(f"{place} is no row of {layout}, as the first one is.")
    kept = {name: row[name] for name in (*LAYOUTS[layout], "answer", "kind") if name in row}
    for name, types in LAYOUTS[layout].items():
        value = kept[name]
        if not isinstance(value, types) or isinstance(value, bool):
            wanted = " or ".join(_TYPE_NAMES[kind] for kind in types)
            raise DataError(f"{place}: {name} must be {wanted}.")
        if isinstance(value, list):
            _check_messages(place, name, value)
        elif isinstance(value, str) and not value.strip():
            raise DataError(f"{place}: {name} is empty.")
    try:
        _json(kept).encode()
    except UnicodeEncodeError:
        raise DataError(f"{place} holds half a character, which is no text.") from None
    return kept


_TYPE_NAMES: dict[type, str] = {str: "text", list: "a list of messages", int: "a whole number"}


def _check_messages(place: str, name: str, messages: list[Any]) -> None:
    right = messages and all(
        isinstance(each, dict)
        and isinstance(each.get("role"), str)
        and isinstance(each.get("content"), str)
        for each in messages
    )
    if not right:
        raise DataError(f"{place}: {name} must be a list of messages, each with role and content.")
    if name == "messages" and messages[-1]["role"] != "assistant":
        raise DataError(f"{place}: the last message must be the assistant's answer.")


def _split(rows: list[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows set aside; those of one prompt stay together."""
    groups = list(dict.fromkeys(group(row) for row in rows))
    count = max(1, round(share * len(groups)))
    aside = set(Random(seed).sample(groups, count)) if len(groups) > 1 else set()  # noqa: S311
    train = [row for row in rows if group(row) not in aside]
    return train, [row for row in rows if group(row) in aside]


def _texts(row: Row) -> Iterator[str]:
    for value in row.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (str(message.get("content", "")) for message in value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
