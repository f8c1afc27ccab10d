"""Contamination: whether a model knows its test texts better than texts just like them."""

from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

from evalkit.probes.base import Probe
from evalkit.probes.option_order import preference
from evalkit.probes.rows import OWN_LICENCE, own_file, read_rows
from evalkit.types import Document, Metric, Request, RequestKind, Response, Sample, digest


class MicroContamination(Probe):
    """Log-likelihood of held-out texts of the micro-world against renamed variants of each.

    A variant has other names, places, days or numbers in the places of the text's own, drawn by a
    permutation under which the text is as likely to have been written as its variants. A model
    that has never met the text has no reason to prefer it, so without a leak the expected
    `exact_preference` is 1/2 exactly, whatever the model: the idea of Oren et al. 2023, "Proving
    test set contamination in black box language models", on words in place of the order of
    documents.

    Metrics: `exact_preference`, the share of variants less likely than the exact text (ties count
    half); `exact_gap`, the text's log-likelihood less the variants' mean, in nats a token.
    """

    name = "micro_contamination"
    family = "contamination"
    source = "tasks/contamination/micro_texts.jsonl"
    licence = OWN_LICENCE
    metrics: ClassVar = {
        "exact_preference": Metric(higher_is_better=False),
        "exact_gap": Metric(higher_is_better=False, unit="nats/token"),
    }

    def __init__(self) -> None:
        file = own_file("contamination", "micro_texts.jsonl")
        self._rows = read_rows(file, ["text", "variants", "kind"])
        self.config_hash = digest(self._rows)

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """One document a text: the text itself first, then its variants."""
        return [
            Document(
                task=self.name,
                doc_id=doc_id,
                content=row,
                requests=tuple(
                    Request(RequestKind.ROLLING, "", text)
                    for text in (row["text"], *row["variants"])
                ),
                category=row["kind"],
            )
            for doc_id, row in enumerate(islice(self._rows, limit))
        ]

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Compare each text with its variants."""
        return [
            Sample(document, answers, preference(answers))
            for document, answers in zip(documents, responses, strict=True)
        ]
