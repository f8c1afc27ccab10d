"""Which family a task belongs to, and what its family adds to it: `families.yaml`, read once."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import yaml

_BY_OUTPUT = {
    "multiple_choice": "multiple_choice",
    "loglikelihood": "language_modelling",
    "loglikelihood_rolling": "language_modelling",
    "generate_until": "generation",
}
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of task.

    Attributes:
        about: What it measures, in a sentence.
        figures: Its metrics, in words.
        adds: Metrics that every task of the family gets where its answers allow it.
        tasks: Patterns of names, and folders of lm-eval that end in `/`.
    """

    name: str
    about: str
    figures: str
    adds: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


@cache
def families() -> dict[str, Family]:
    """Every family by name, in the table's order."""
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    table = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return {
        name: Family(
            name,
            row["about"],
            row["figures"],
            tuple(row.get("adds", ())),
            tuple(row.get("tasks", ())),
        )
        for name, row in table.items()
    }


def family_of(name: str, folder: str = "", output_type: str | None = None) -> str:
    """Family of a task whose YAML names none.

    Args:
        name: Of the task.
        folder: Of its YAML file within lm-eval's tasks, its first part alone; empty for others.
        output_type: lm-eval's type of its answers.
    """
    names, folders = _patterns()
    for pattern, family in names:
        if fnmatchcase(name, pattern):
            return family
    return folders.get(f"{folder}/") or _BY_OUTPUT.get(output_type or "", OTHER)


def added_metrics(family: str) -> Iterable[str]:
    """Metrics that a family adds to its tasks; none for a family of a user's own."""
    found = families().get(family)
    return found.adds if found else ()


@cache
def _patterns() -> tuple[list[tuple[str, str]], dict[str, str]]:
    pairs = [(task, family.name) for family in families().values() for task in family.tasks]
    folders = {task: family for task, family in pairs if task.endswith("/")}
    return [(task, family) for task, family in pairs if not task.endswith("/")], folders
