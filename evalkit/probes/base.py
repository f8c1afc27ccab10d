"""What a probe is: documents, and samples from the responses to them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from evalkit.types import Document, Metric, Response, Sample


class Probe(ABC):
    """A task in Python; it satisfies `evalkit.registry.Task`.

    Attributes:
        name: Name in the registry.
        family: Kind of task.
        version: Raised whenever its figures are no longer comparable.
        source: Where its prompts come from.
        config_hash: Hash of everything that defines it; runs with another are not compared.
        metrics: How the statistics of each metric become a score.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    metrics: ClassVar[Mapping[str, Metric]]
    version: str | None = "1"
    num_fewshot = 0
    source: str
    config_hash: str

    @abstractmethod
    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The first `limit` documents (all for None) with their requests."""

    @abstractmethod
    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Samples from the responses, in the order of each document's requests."""

    def aggregate(self, metric: str, filter_name: str) -> float | None:
        """No probe has metrics beyond `evalkit.metrics.aggregation`."""
        return None
