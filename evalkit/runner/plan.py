"""Plan: names become tasks, documents and requests; what can be wrong is found here."""

import shlex
from dataclasses import dataclass

from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.endpoint import Endpoint
from evalkit.engine.model import open_model
from evalkit.errors import DataError, MissingDataError, UsageError
from evalkit.probes import ProbeOptions
from evalkit.progress import progress_bar
from evalkit.registry import Registry, Selection, Task, Trust
from evalkit.results import Store
from evalkit.settings import RunSettings
from evalkit.types import Document, Request, digest

_NAMED = 12
"""Most data sets and tasks that a complaint names."""


@dataclass(frozen=True)
class PlannedTask:
    """A task with the documents that will be asked."""

    task: Task
    documents: list[Document]

    @property
    def data_hash(self) -> str:
        """Hash over the documents' hashes, in order."""
        return digest([document.doc_hash for document in self.documents])

    @property
    def prompts_hash(self) -> str:
        """Hash over the hashes of the documents' requests, in order."""
        return digest([document.prompt_hash for document in self.documents])

    @property
    def requests(self) -> int:
        """Requests over all documents."""
        return sum(len(document.requests) for document in self.documents)


@dataclass(frozen=True)
class Plan:
    """A run that can be started: inputs checked, nothing loaded or written yet."""

    settings: RunSettings
    checkpoint: Checkpoint | Endpoint
    tasks: list[PlannedTask]
    suites: dict[str, list[str]]
    store: Store

    @property
    def requests(self) -> list[Request]:
        """Every request, by task, document and position."""
        return [request for t in self.tasks for d in t.documents for request in d.requests]


def make_plan(settings: RunSettings) -> Plan:
    """Check the settings against the world and build every request.

    Raises:
        UsageError: An unknown task, an impossible setting, a store that cannot be written.
        DataError: A checkpoint, task file or data set that cannot be used.
    """
    if settings.mirror is not None and not settings.mirror.is_dir():
        raise UsageError(f"--mirror {settings.mirror} is no folder.")
    checkpoint = open_model(settings.model, settings.mirror, settings.trust_remote_code)
    if settings.engine != "local" and isinstance(checkpoint, Endpoint):
        raise UsageError("--engine ray loads a checkpoint; a server is asked from this process.")
    trust = Trust(tuple(settings.trust_functions), tuple(settings.trust_code_execution))
    options = ProbeOptions.of(settings)
    registry = Registry(settings.include_path, settings.mirror, trust, options)
    selection = registry.select(settings.tasks)
    store = Store(settings.store)
    store.check_writable()
    planned = _planned(registry, selection, settings)
    plan = Plan(settings, checkpoint, planned, selection.suites, store)
    check_room(plan)
    return plan


def _planned(registry: Registry, selection: Selection, settings: RunSettings) -> list[PlannedTask]:
    """The tasks with their documents; all data that is missing is told at once."""
    planned = []
    missing: list[MissingDataError] = []
    with progress_bar(len(selection.leaves), "Planning", "task") as bar:
        for leaf in selection.leaves.values():
            try:
                task = registry.load(leaf, settings.num_fewshot, settings.fewshot_seeding)
            except MissingDataError as error:
                missing.append(error)
            else:
                if not missing:
                    documents = task.documents(settings.limit, settings.seed)
                    planned.append(PlannedTask(task, documents))
            bar.update()
    if len(missing) > 1:
        raise _all_missing(missing, settings, len(selection.leaves))
    if missing:
        raise missing[0]
    return planned


def _all_missing(missing: list[MissingDataError], settings: RunSettings, tasks: int) -> DataError:
    data = list(dict.fromkeys(error.data for error in missing))
    more = f" and {len(data) - _NAMED} more" if len(data) > _NAMED else ""
    names = list(dict.fromkeys(error.task for error in missing))
    asked = " ".join(names if len(names) <= _NAMED else map(shlex.quote, settings.tasks))
    return DataError(
        f"{len(missing)} of {tasks} tasks need data that the mirror {settings.mirror} lacks: "
        f"{', '.join(data[:_NAMED])}{more}; bring it with: evalkit mirror add {asked} "
        f"--to {settings.mirror}"
    )


def check_room(plan: Plan) -> None:
    """Every generation has to leave room for at least one token of its prompt.

    Raises:
        UsageError: One does not.
    """
    room = plan.checkpoint.max_length
    for planned in plan.tasks:
        requests = [r for document in planned.documents for r in document.requests]
        longest = max((r.decoding.max_new_tokens for r in requests if r.decoding), default=0)
        if room is not None and longest >= room:
            raise UsageError(
                f"Task {planned.task.name} asks for {longest} new tokens, but the context of "
                f"{plan.checkpoint.path} is {room}; lower max_gen_toks in the task."
            )
