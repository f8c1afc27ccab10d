"""What rubric and pairwise judgement have in common."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from evalkit.probes.base import Probe
from evalkit.probes.judged.labels import Labels, with_agreement
from evalkit.types import Document, RequestKind, Response, Sample, Score, digest

_LONGEST = 4000
"""Characters of a text that the judge is shown."""


class Judged(Probe):
    """Texts of a run, each shown to a judge who answers with one of a few labels.

    The judge's answer is the label it finds most likely, so that any model gives one.

    Args:
        task: The task that the texts are of.
        documents: One a text, asked in full.
        main: The metric that people's labels are compared with.
        labels: Of people, if there are any.
    """

    family = "judged_quality"
    is_rating = False

    def __init__(
        self, name: str, documents: list[Document], main: str, labels: Labels | None
    ) -> None:
        self.name = name
        self.source = __name__
        self._documents = documents
        self._main = main
        self._labels = labels
        self._judged: dict[int, float] = {}
        self.config_hash = digest([self.version, [d.prompt_hash for d in documents]])

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The texts."""
        return list(islice(self._documents, limit))

    def remember(self, samples: list[Sample]) -> list[Sample]:
        """Keep the judge's labels, to be compared with people's."""
        self._judged = {
            sample.document.doc_id: sample.statistics[self._main][0] for sample in samples
        }
        return samples

    def refine(self, scores: list[Score]) -> list[Score]:
        """Add the agreement with people, and what it makes of the main figure."""
        if self._labels is None:
            return scores
        return [
            refined
            for score in scores
            for refined in (
                with_agreement(score, self._judged, self._labels, self.is_rating)
                if score.metric == self._main
                else [score]
            )
        ]


def shown(text: str) -> str:
    """A text as the judge is shown it; a long one is cut."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} [...]"


def likeliest(answers: Sequence[Response], labels: Sequence[Any]) -> Any:
    """The label whose continuation has the highest log-likelihood, the first of equals."""
    values = [answer.loglikelihood or 0.0 for answer in answers]
    return labels[values.index(max(values))]


SCORED = RequestKind.LOGLIKELIHOOD
"""Kind of every request to a judge."""
