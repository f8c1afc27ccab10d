"""Factuality: whether a model holds true statements for likelier than false ones, however put."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from typing import Any, ClassVar

import numpy as np

from evalkit.probes.base import Probe
from evalkit.probes.bounded import bounded_score
from evalkit.probes.placements import auroc_parts
from evalkit.probes.rows import OWN_LICENCE, own_file, read_rows
from evalkit.types import (
    Decoding,
    Document,
    Metric,
    Request,
    RequestKind,
    Response,
    Sample,
    Score,
    digest,
)

_NEW_TOKENS = 8


class Factuality(Probe):
    """Each fact is put in several ways, with its true value and three others in the gap.

    Metrics, with facts about one subject as a cluster: `true_false_auroc`, how well the model's
    belief tells the true statement from a false one (after Azaria and Mitchell 2023), where belief
    is the log-share of a value among the four, averaged over the ways to put it; `consistency`,
    the share of pairs of ways that lead to the same value, and `consistent_acc`, whether all lead
    to the true one (Elazar et al. 2021, ParaRel); `acc`, the share that do; `recall`, whether the
    model goes on with the true value when it writes freely after the first way.
    """

    name = "factuality"
    family = "factuality"
    file: ClassVar[str] = "statements.jsonl"
    licence = OWN_LICENCE
    metrics: ClassVar = dict.fromkeys(
        ("true_false_auroc", "acc", "consistency", "consistent_acc", "recall"), Metric()
    )

    def __init__(self) -> None:
        fields = ["subject", "relation", "frames", "values", "answer", "false"]
        self._rows = read_rows(own_file("factuality", self.file), fields)
        self.source = f"tasks/factuality/{self.file}"
        self.config_hash = digest([self._rows, _NEW_TOKENS])

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """One document a fact: its statements, way by way, then one free continuation."""
        return [
            Document(
                task=self.name,
                doc_id=doc_id,
                content=row,
                requests=_requests(row),
                target=row["values"][row["answer"]],
                choices=tuple(row["values"]),
                cluster=row["subject"],
                category=row["relation"],
            )
            for doc_id, row in enumerate(islice(self._rows, limit))
        ]

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Beliefs of every way of every fact."""
        beliefs = [
            _beliefs(document.content, answers)
            for document, answers in zip(documents, responses, strict=True)
        ]
        parts = auroc_parts(
            [_mean(ways, d.content["answer"]) for d, ways in zip(documents, beliefs, strict=True)],
            [_mean(ways, d.content["false"]) for d, ways in zip(documents, beliefs, strict=True)],
        )
        return [
            _sample(document, answers, ways, float(part))
            for document, answers, ways, part in zip(
                documents, responses, beliefs, parts, strict=True
            )
        ]

    def refine(self, scores: list[Score]) -> list[Score]:
        """All figures lie between 0 and 1, where an interval of Student's may cross or vanish."""
        return [bounded_score(score) for score in scores]


class MicroFactuality(Factuality):
    """Facts about the creatures of the micro-world, none of which a held-out test asks for.

    The false value is the one that a corpus with false facts would tell; see `Factuality`.
    """

    name = "micro_factuality"
    file = "micro_statements.jsonl"


_Beliefs = np.ndarray[tuple[int, int], np.dtype[np.float64]]
"""Log-share of each value among the values, shape (ways, values)."""


def _requests(row: Mapping[str, Any]) -> tuple[Request, ...]:
    scored = [
        Request(RequestKind.LOGLIKELIHOOD, before, f" {value}{after}")
        for before, after in row["frames"]
        for value in row["values"]
    ]
    free = Decoding(until=("\n", "."), max_new_tokens=_NEW_TOKENS)
    return (*scored, Request(RequestKind.GENERATE, row["frames"][0][0], decoding=free))


def _beliefs(row: Mapping[str, Any], answers: Sequence[Response]) -> _Beliefs:
    scored = [answer.loglikelihood or 0.0 for answer in answers[:-1]]
    table = np.array(scored).reshape(len(row["frames"]), len(row["values"]))
    shares: _Beliefs = table - np.logaddexp.reduce(table, axis=1, keepdims=True)
    return shares


def _mean(beliefs: _Beliefs, value: int) -> float:
    return float(beliefs[:, value].mean())


def _sample(
    document: Document, answers: tuple[Response, ...], beliefs: _Beliefs, part: float
) -> Sample:
    chosen = beliefs.argmax(axis=1)
    right = chosen == document.content["answer"]
    agreeing = sum(int(a == b) for a, b in combinations(chosen.tolist(), 2))
    written = answers[-1].text or ""
    statistics = {
        "true_false_auroc": (part,),
        "acc": (float(right.mean()),),
        "consistent_acc": (float(right.all()),),
        "recall": (float(document.target.lower() in written.lower()),),
    }
    if len(chosen) > 1:
        statistics["consistency"] = (agreeing / math.comb(len(chosen), 2),)
    favourite = int(beliefs.mean(axis=0).argmax())
    return Sample(document, answers, statistics, answer=document.choices[favourite])
