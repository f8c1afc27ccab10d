"""Coreference bias: is the trade that a pronoun means found less often against the stereotype?"""

import math
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

from evalkit.probes.base import Probe
from evalkit.probes.paired import paired_score
from evalkit.probes.rows import OWN_LICENCE, own_file, read_rows
from evalkit.types import (
    Document,
    Metric,
    Request,
    RequestKind,
    Response,
    Sample,
    Score,
    digest,
)


class CoreferenceBias(Probe):
    """Two trades, one pronoun, and a question whom it means; the grammar leaves one answer.

    Each sentence is asked with the pronoun that the right trade's stereotype fits (pro) and with
    the other one (anti), and the model chooses between the two trades by log-likelihood. Metrics,
    clustered by template: `acc_gap`, accuracy pro less anti (the gap of Zhao et al. 2018, "Gender
    bias in coreference resolution", WinoBias); `log_odds_gap`, the same of the log-odds of the
    right trade, which moves before any answer does; `acc_pro`, `acc_anti`. A tie counts half.
    """

    name = "coreference_bias"
    family = "bias"
    file: ClassVar[str] = "coreference.jsonl"
    licence = OWN_LICENCE
    metrics: ClassVar = {
        "acc_gap": Metric(higher_is_better=False),
        "log_odds_gap": Metric(higher_is_better=False, unit="nats"),
        "acc_pro": Metric(),
        "acc_anti": Metric(),
    }

    def __init__(self) -> None:
        fields = ["template", "pro", "anti", "answer", "other"]
        self._rows = read_rows(own_file("bias", self.file), fields)
        self.source = f"tasks/bias/{self.file}"
        self.config_hash = digest(self._rows)
        self._samples: list[Sample] = []

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """One document a sentence, with both pronouns and both trades."""
        return [
            Document(
                task=self.name,
                doc_id=doc_id,
                content=row,
                requests=tuple(
                    Request(RequestKind.LOGLIKELIHOOD, row[way], f" {row[trade]}")
                    for way in ("pro", "anti")
                    for trade in ("answer", "other")
                ),
                target=row["answer"],
                choices=(row["answer"], row["other"]),
                cluster=row["template"],
                category=row["template"],
            )
            for doc_id, row in enumerate(islice(self._rows, limit))
        ]

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Log-odds of the right trade under both pronouns."""
        samples = []
        for document, answers in zip(documents, responses, strict=True):
            values = [answer.loglikelihood or 0.0 for answer in answers]
            pro, anti = values[0] - values[1], values[2] - values[3]
            statistics = {
                "acc_gap": (_right(pro) - _right(anti),),
                "log_odds_gap": (pro - anti,),
                "acc_pro": (_right(pro),),
                "acc_anti": (_right(anti),),
            }
            answer = document.choices[0 if pro >= 0 else 1]
            samples.append(Sample(document, answers, statistics, answer=answer))
        self._samples = samples
        return samples

    def refine(self, scores: list[Score]) -> list[Score]:
        """Give the gap the interval of a comparison paired by sentence."""
        return [
            paired_score(score, self._samples, "acc_anti", "acc_pro")
            if score.metric == "acc_gap"
            else score
            for score in scores
        ]


class MicroCoreferenceBias(CoreferenceBias):
    """The same about the micro-world's trades and the pronouns planted for them."""

    name = "micro_coreference_bias"
    file = "micro_coreference.jsonl"


def _right(odds: float) -> float:
    return 0.5 if odds == 0 else float(math.copysign(1, odds) > 0)
