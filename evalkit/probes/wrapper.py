"""Probes made of another task: `WRAPPER/TASK`."""

from collections.abc import Mapping
from typing import Protocol

from evalkit.errors import UsageError
from evalkit.probes.base import Probe
from evalkit.types import Document, Metric, RequestKind, Response, Sample, digest


class Wrapped(Protocol):
    """What a wrapper needs of the task it is made of; `evalkit.registry.Task` has it."""

    name: str
    source: str
    licence: str | None
    version: str | None
    num_fewshot: int
    config_hash: str

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """How the statistics of each metric become a score."""

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The task's documents."""

    def score(
        self, documents: list[Document], responses: list[tuple[Response, ...]]
    ) -> list[Sample]:
        """Samples from the responses."""


class Wrapper(Probe):
    """A probe made of another task, named after both.

    Args:
        task: The task it is made of.
    """

    prefix: str

    def __init__(self, task: Wrapped) -> None:
        self.task = task
        self.name = f"{self.prefix}/{task.name}"
        self.source = task.source
        self.licence = task.licence
        self.num_fewshot = task.num_fewshot
        self.config_hash = digest([self.prefix, self.version, task.version, task.config_hash])

    def require(self, documents: list[Document], kind: RequestKind, what: str) -> None:
        """Raise unless every request is of one kind, and for choices there are two or more.

        Raises:
            UsageError: The task is of another kind.
        """
        for document in documents:
            fits = all(request.kind is kind for request in document.requests)
            if not fits or (kind is RequestKind.LOGLIKELIHOOD and len(document.requests) < 2):
                raise UsageError(f"{self.prefix}/ wraps {what}; {self.task.name} is none.")
