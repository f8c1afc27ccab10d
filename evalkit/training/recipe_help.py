"""Describes a kind of recipe: every key with its default, as YAML with comments."""

from collections.abc import Iterator
from typing import Any, TypeGuard

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from evalkit.training.recipe_file import models_in


def describe(model: type[BaseModel]) -> str:
    """The default recipe of a kind, each key explained; what else a key may hold, commented out."""
    return "\n".join(_keys(model, _default(model), "")).lstrip("\n") + "\n"


def _keys(model: type[BaseModel], values: BaseModel | None, indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        value = getattr(values, name) if values else field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            yield from _section(name, field, value, indent)
            continue
        shown = "" if value is PydanticUndefined else f" {_flow(value)}"
        required = "required: " if value is PydanticUndefined else ""
        yield f"{indent}{name}:{shown}  # {required}{field.description or name}"
        if required and _is_model(field.annotation):
            yield from _keys(field.annotation, None, indent + "  ")
            continue
        for _, item in models_in(field.annotation):
            yield f"{indent}#   {name} holds: {_first_line(item)}"
            yield from _comment(_keys(item, _default(item), "    "), indent)


def _section(name: str, field: FieldInfo, value: BaseModel, indent: str) -> Iterator[str]:
    if indent:
        yield f"{indent}{name}:  # {_first_line(type(value))}"
    else:
        yield f"\n# {_first_line(type(value))}\n{name}:"
    yield from _keys(type(value), value, indent + "  ")
    for _, other in models_in(field.annotation):
        if other is not type(value):
            yield f"{indent}# or {_first_line(other)}"
            yield f"{indent}# {name}:"
            yield from _comment(_keys(other, _default(other), "  "), indent)


def _comment(lines: Iterator[str], indent: str) -> Iterator[str]:
    for line in lines:
        yield f"{indent}# {line}".rstrip()


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _default(model: type[BaseModel]) -> BaseModel | None:
    """The model with its defaults; None where it has keys that must be given."""
    try:
        return model()
    except ValidationError:
        return None


def _flow(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    plain = value if isinstance(value, int | float | str | list | dict | None) else str(value)
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000).splitlines()[0]


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]
