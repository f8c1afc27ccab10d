"""A judge prefers one of two texts, or neither."""

from collections.abc import Sequence
from typing import ClassVar

from evalkit.probes.bounded import bounded_score
from evalkit.probes.judged.judged import SCORED, Judged, likeliest, shown
from evalkit.probes.judged.labels import Labels
from evalkit.probes.judged.texts import JudgedText
from evalkit.types import Document, Metric, Request, Response, Sample, Score

_LABELS = ("A", "B", "C")
_FIRST = {"A": 1, "B": -1, "C": 0}
"""Label -> 1 where the text shown first is better, -1 where the second is."""


class Pairwise(Judged):
    """`preferred/TASK`: each text against another run's text on the same document.

    Both orders are asked. Where they disagree the pair is a tie, as ties are kept as ties (Zheng
    et al. 2023, "Judging LLM-as-a-judge"). Metrics: `win_rate`, a win counting 1 and a tie 1/2;
    `tie_rate`; `order_agreement`, whether both orders led to the same verdict; `first_rate`, how
    often the text shown first was preferred. Given human labels, `kappa` and `win_rate_corrected`.
    """

    metrics: ClassVar = {
        "win_rate": Metric(),
        "tie_rate": Metric(higher_is_better=None),
        "order_agreement": Metric(),
        "first_rate": Metric(higher_is_better=None),
    }

    def __init__(
        self,
        task: str,
        texts: Sequence[JudgedText],
        others: Sequence[JudgedText],
        labels: Labels | None = None,
    ) -> None:
        name = f"preferred/{task}"
        against = {text.key: text for text in others}
        pairs = [(text, against[text.key]) for text in texts if text.key in against]
        documents = [_document(name, text, other) for text, other in pairs]
        super().__init__(name, documents, "win_rate", labels)

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """The verdict of both orders."""
        samples = []
        for document, answers in zip(documents, responses, strict=True):
            straight = likeliest(answers[:3], _LABELS)
            swapped = likeliest(answers[3:], _LABELS)
            verdicts = (_FIRST[straight], -_FIRST[swapped])
            verdict = verdicts[0] if verdicts[0] == verdicts[1] else 0
            statistics = {
                "win_rate": ((1 + verdict) / 2,),
                "tie_rate": (float(verdict == 0),),
                "order_agreement": (float(verdicts[0] == verdicts[1]),),
                "first_rate": (((straight == "A") + (swapped == "A")) / 2,),
            }
            answer = {1: "win", 0: "tie", -1: "loss"}[verdict]
            samples.append(Sample(document, answers, statistics, answer=answer))
        return self.remember(samples)

    def refine(self, scores: list[Score]) -> list[Score]:
        """All figures are shares, though ties count half."""
        return super().refine([bounded_score(score) for score in scores])


def _document(name: str, text: JudgedText, other: JudgedText) -> Document:
    prompts = (_prompt(text, text.answer, other.answer), _prompt(text, other.answer, text.answer))
    return Document(
        task=name,
        doc_id=text.doc_id,
        content={"question": text.question, "answer": text.answer, "other": other.answer},
        requests=tuple(Request(SCORED, p, f" {label}") for p in prompts for label in _LABELS),
        target=text.reference,
        choices=_LABELS,
        cluster=text.cluster,
        category=text.category,
    )


def _prompt(text: JudgedText, first: str, second: str) -> str:
    reference = f"\n\nReference answer:\n{shown(text.reference)}" if text.reference else ""
    return (
        "Which answer to the question is better? Say A for the first, B for the second, or C if "
        f"neither is better.\n\nQuestion:\n{shown(text.question)}{reference}\n\n"
        f"Answer A:\n{shown(first)}\n\nAnswer B:\n{shown(second)}\n\nBetter:"
    )
