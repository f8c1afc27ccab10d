"""What the runner asks of a task, whether it is an lm-eval YAML file or a probe."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from evalkit.types import Document, Metric, Response, Sample


class Task(Protocol):
    """A named set of documents, the requests made of each, and the metrics on the answers."""

    @property
    def name(self) -> str:
        """Name in the registry."""

    @property
    def family(self) -> str:
        """Kind of task (`multiple_choice`, `translation`, ...)."""

    @property
    def version(self) -> str | None:
        """The task author's version, where there is one."""

    @property
    def source(self) -> str:
        """File or package the task comes from."""

    @property
    def licence(self) -> str | None:
        """Under which its data may be used, where that is known."""

    @property
    def num_fewshot(self) -> int:
        """Examples shown before each question."""

    @property
    def config_hash(self) -> str:
        """Hash of the task's definition."""

    @property
    def details(self) -> Mapping[str, str]:
        """What else its figures depend on, such as revisions and signatures; after `score`."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """How the statistics of each metric become a score; complete after `score`."""

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The first `limit` documents (all for None) with their requests."""

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Samples from the responses, in the order of each document's requests."""

    def aggregate(self, metric: str, filter_name: str) -> float | None:
        """Value of a metric whose aggregation is `custom`, after `score`; None where undefined."""
