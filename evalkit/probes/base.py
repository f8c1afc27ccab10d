"""What a probe is: documents, and samples from the responses to them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Self

from evalkit.probes.options import ProbeOptions
from evalkit.types import Document, Metric, Response, Sample, Score


class Probe(ABC):
    """A task in Python; it satisfies `evalkit.registry.Task`.

    Attributes:
        name: Name in the registry.
        family: Kind of task.
        version: Raised whenever its figures are no longer comparable.
        source: Where its prompts come from.
        licence: Of its prompts, where that is known.
        config_hash: Hash of everything that defines it; runs with another are not compared.
    """

    name: str
    family: str
    version: str | None = "1"
    num_fewshot = 0
    source: str
    licence: str | None = None
    config_hash: str

    @property
    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """How the statistics of each metric become a score; complete after `score`."""

    @property
    def details(self) -> Mapping[str, str]:
        """What else its figures depend on, for the manifest, such as a detector's hash."""
        return {}

    @classmethod
    def make(cls, options: ProbeOptions) -> Self:
        """The probe under a run's options; most have none."""
        return cls()

    @abstractmethod
    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The first `limit` documents (all for None) with their requests."""

    @abstractmethod
    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Samples from the responses, in the order of each document's requests."""

    def refine(self, scores: list[Score]) -> list[Score]:
        """The last word on the probe's scores, where more than sampling widens an interval."""
        return scores

    def aggregate(self, metric: str, filter_name: str) -> float | None:
        """No probe has metrics beyond `evalkit.metrics.aggregation`."""
        return None
