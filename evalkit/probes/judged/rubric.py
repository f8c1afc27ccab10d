"""A judge rates texts from 1 to 5."""

import math
from collections.abc import Sequence
from typing import ClassVar

from evalkit.probes.judged.judged import SCORED, Judged, likeliest, shown
from evalkit.probes.judged.labels import Labels
from evalkit.probes.judged.texts import JudgedText
from evalkit.types import Document, Metric, Request, Response, Sample

RATINGS = (1, 2, 3, 4, 5)
_MEANING = (
    "1: wrong or useless. 2: mostly wrong. 3: partly right. 4: right with small faults. "
    "5: right, complete and clear."
)


class Rubric(Judged):
    """`judged/TASK`: one rating a text.

    Metrics: `rating`, the likeliest of 1 to 5; `rating_expected`, their mean by the judge's own
    probabilities (Liu et al. 2023, "G-Eval"). Given human labels, `kappa` with quadratic weights
    and `rating_corrected`.
    """

    is_rating = True
    metrics: ClassVar = {"rating": Metric(), "rating_expected": Metric()}

    def __init__(self, task: str, texts: Sequence[JudgedText], labels: Labels | None = None):
        name = f"judged/{task}"
        super().__init__(name, [_document(name, text) for text in texts], "rating", labels)

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """The likeliest rating, and the expected one."""
        samples = []
        for document, answers in zip(documents, responses, strict=True):
            rating = likeliest(answers, RATINGS)
            statistics = {"rating": (float(rating),), "rating_expected": (_expected(answers),)}
            samples.append(Sample(document, answers, statistics, answer=str(rating)))
        return self.remember(samples)


def _document(name: str, text: JudgedText) -> Document:
    reference = f"\n\nReference answer:\n{shown(text.reference)}" if text.reference else ""
    prompt = (
        f"Rate the answer to a question from 1 to 5. {_MEANING}\n\n"
        f"Question:\n{shown(text.question)}{reference}\n\n"
        f"Answer:\n{shown(text.answer)}\n\nRating:"
    )
    return Document(
        task=name,
        doc_id=text.doc_id,
        content={"question": text.question, "reference": text.reference},
        requests=tuple(Request(SCORED, prompt, f" {rating}") for rating in RATINGS),
        target=text.reference,
        choices=tuple(map(str, RATINGS)),
        cluster=text.cluster,
        category=text.category,
    )


def _expected(answers: Sequence[Response]) -> float:
    values = [answer.loglikelihood or 0.0 for answer in answers]
    weights = [math.exp(value - max(values)) for value in values]
    return sum(r * w for r, w in zip(RATINGS, weights, strict=True)) / sum(weights)
