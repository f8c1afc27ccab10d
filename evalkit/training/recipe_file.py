"""Reads a recipe of any kind from YAML; every mistake becomes one sentence."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, ValidationError

from evalkit.errors import UsageError

SHIPPED = Path(__file__).parent / "recipes"
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def read_recipe(
    path: str | Path | None, overrides: Mapping[str, str], model: type[AnyModel]
) -> AnyModel:
    """Read a recipe file, change what is overridden, and check it.

    Raises:
        UsageError: The file cannot be read, a key is unknown, or a value is impossible.
    """
    file = _find(path) if path is not None else None
    values = _read(file) if file else {}
    for key, text in overrides.items():
        _override(values, key, text)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UsageError(_explain(error, str(file or "the recipe"), model)) from None


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with evalkit."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def nearest(name: str, known: list[str]) -> str:
    """End of a sentence about an unknown name: the one that was meant, or all that are known."""
    near = get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."


def _find(path: str | Path) -> Path:
    file = Path(path)
    if file.exists() or file.suffix or len(file.parts) > 1:
        return file
    if file.name in shipped_recipes():
        return SHIPPED / f"{file.name}.yaml"
    raise UsageError(
        f"There is no recipe file {str(path)!r}, and none of that name is shipped; "
        + nearest(file.name, shipped_recipes())
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"Cannot read the recipe {path}: {reason}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise UsageError(f"The recipe {path}{where} is not valid YAML: {problem}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"The recipe {path} must be a mapping of sections; see --help-recipe.")
    return values


def _override(values: dict[str, Any], key: str, text: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"Cannot set {key}: {section} is not a section of the recipe.")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"Cannot set {key}: {text!r} is not a YAML value.") from None


def _explain(error: ValidationError, source: str, model: type[BaseModel]) -> str:
    """The first fault in one sentence, with the nearest key where one is unknown."""
    fault = error.errors()[0]
    if fault["type"] == "value_error":
        return f"In {source}: {fault['ctx']['error']}."
    if not fault["loc"]:  # a key that is no text has no name to show
        return f"A key of {source} is no readable text: {fault['msg']}."
    shown, known = _place(model, fault["loc"])
    key = ".".join(shown)
    if fault["type"] == "extra_forbidden":
        return f"Unknown key {key!r} in {source}; {nearest(shown[-1], known)}"
    if fault["type"] == "missing":
        return f"The key {key!r} is missing in {source}; see --help-recipe."
    return f"Bad value for {key!r} in {source}: {fault['msg']}, not {fault['input']!r}."


def _place(model: Any, location: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """Where a fault is as the user writes it, and the keys that are known there.

    pydantic also names the member of a union that it tried, which nobody has written.
    """
    shown: list[str] = []
    known: list[str] = []
    kind: Any = model
    for part in location:
        members = dict(models_in(kind))
        if len(members) > 1 and part in members:
            kind = members[str(part)]
            continue
        shown.append(str(part))
        one = next(iter(members.values()), None)
        if isinstance(part, int):
            continue  # the items of a list are of the kind that its annotation holds
        known = list(one.model_fields) if one else []
        kind = one.model_fields[part].annotation if one and part in one.model_fields else None
    return shown, known


def models_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Models that a field may hold, alone, in a list or in a union, by their tags or names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation.__name__, annotation
        return
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        tags = [note.tag for note in notes if isinstance(note, Tag)]
        for name, model in models_in(inner):
            yield (tags[0] if tags else name), model
        return
    for part in get_args(annotation):
        yield from models_in(part)
