"""The texts of tasks, which a corpus must not hold: a face asks the registry for training."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.registry import Task
    from evalkit.training.corpus import TaskText
    from evalkit.types import Document


def texts_of_tasks(
    names: Sequence[str], include_paths: Sequence[Path] = (), mirror: Path | None = None
) -> "list[TaskText]":
    """Every text of the documents of some tasks, and their prompts with the right answer.

    Args:
        names: Task names, globs, suites or YAML files.
        include_paths: Folders of further task YAML files.
        mirror: Folder in the hub's layout that the tasks' data is read from.

    Raises:
        UsageError: A name fits no task.
        DataError: A task's data is missing.
    """
    if not names:
        return []
    from evalkit.registry import Registry
    from evalkit.training.corpus import TaskText

    registry = Registry(include_paths, mirror)
    tasks = [registry.load(leaf, num_fewshot=0) for leaf in registry.select(names).leaves.values()]
    return [TaskText(task.name, text) for task in tasks for text in _texts_of(task)]


def _texts_of(task: "Task") -> Iterator[str]:
    """Each text once, in the order of the documents."""
    found: dict[str, None] = {}
    for document in task.documents(None, seed=0):
        found.update(dict.fromkeys(_strings(document.content)))
        found.update(dict.fromkeys(_solved(document)))
    yield from (text for text in found if text.strip())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)


def _solved(document: "Document") -> Iterator[str]:
    """Prompt and right answer in one text, as a leaked test reads."""
    if document.requests and document.requests[0].context:
        yield f"{document.requests[0].context} {document.target}"
