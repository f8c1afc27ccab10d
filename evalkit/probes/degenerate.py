"""Degeneration: do the texts a model writes repeat themselves?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from evalkit.probes.repetition import distinct, ends_in_loop, seq_rep, words
from evalkit.probes.wrapper import Wrapper
from evalkit.types import Document, Metric, RequestKind, Response, Sample


class Degenerate(Wrapper):
    """`degenerate/TASK`: how the texts of a generation task repeat themselves.

    The task's own requests are asked, so that in a run of both they are answered once. Metrics,
    each a mean over documents: `seq_rep_4`, the share of repeated 4-grams; `distinct_1` and
    `distinct_2`; `loop_rate`, the share of texts that end in a loop; `length` in words. A text too
    short for n-grams has none.
    """

    prefix = "degenerate"
    family = "degeneration"
    metrics: ClassVar = {
        "seq_rep_4": Metric(higher_is_better=False),
        "loop_rate": Metric(higher_is_better=False),
        "distinct_1": Metric(),
        "distinct_2": Metric(),
        "length": Metric(higher_is_better=None, unit="words"),
    }

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """The task's own documents.

        Raises:
            UsageError: The task does not generate text.
        """
        documents = self.task.documents(limit, seed)
        self.require(documents, RequestKind.GENERATE, "tasks that generate text")
        return [replace(document, task=self.name) for document in documents]

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Measure each document's texts; of several, the mean."""
        samples = []
        for document, answers in zip(documents, responses, strict=True):
            found = [_measured(answer.text or "") for answer in answers]
            values = {name: [one[name] for one in found] for name in self.metrics}
            statistics = {
                name: (sum(known) / len(known),)
                for name, numbers in values.items()
                if (known := [number for number in numbers if number is not None])
            }
            samples.append(Sample(document, answers, statistics, answer=answers[0].text or ""))
        return samples


def _measured(text: str) -> dict[str, float | None]:
    tokens = words(text)
    return {
        "seq_rep_4": seq_rep(tokens, 4),
        "loop_rate": float(ends_in_loop(tokens)),
        "distinct_1": distinct(tokens, 1),
        "distinct_2": distinct(tokens, 2),
        "length": float(len(tokens)),
    }
