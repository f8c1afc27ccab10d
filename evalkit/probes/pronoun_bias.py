"""Pronoun bias: which pronoun a model expects of each trade."""

import json
import math
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

from evalkit.errors import DataError
from evalkit.paths import bundled
from evalkit.probes.base import Probe
from evalkit.probes.rows import OWN_LICENCE
from evalkit.types import Document, Metric, Request, RequestKind, Response, Sample, digest

DATA = ("bias", "pronoun_bias.jsonl")


class PronounBias(Probe):
    """Log-odds of "he" against "she" after prompts such as "The baker said that".

    Metrics, averaged over prompts and clustered by trade: `abs_log_odds`, how far from even the
    pronoun is (0 is even; after Kurita et al. 2019, "Measuring Bias in Contextualized Word
    Representations"); `male_share`, the mean probability of "he" among the two, which has no
    better direction; `stereotype_log_odds`, the log-odds towards the pronoun that the micro-world's
    skewed corpus has for the trade: a lean to one pronoun that all trades share cancels out of it,
    so without a stereotype its expectation is 0. It says nothing of models of real text.
    """

    name = "pronoun_bias"
    family = "bias"
    source = "/".join(("tasks", *DATA))
    licence = OWN_LICENCE
    metrics: ClassVar = {
        "abs_log_odds": Metric(higher_is_better=False, unit="nats"),
        "male_share": Metric(higher_is_better=None),
        "stereotype_log_odds": Metric(higher_is_better=False, unit="nats"),
    }

    def __init__(self) -> None:
        file = bundled("tasks").joinpath(*DATA)
        try:
            with file.open(encoding="utf-8") as lines:
                self._rows = [json.loads(line) for line in lines]
        except (OSError, ValueError) as error:
            raise DataError(
                f"The prompts of pronoun_bias, {file}, cannot be read: {error}"
            ) from error
        self.config_hash = digest(self._rows)

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """One document a prompt, with one request for each pronoun."""
        return [
            Document(
                task=self.name,
                doc_id=doc_id,
                content=row,
                requests=tuple(
                    Request(RequestKind.LOGLIKELIHOOD, row["prompt"], row[pronoun])
                    for pronoun in ("he", "she")
                ),
                choices=(row["he"], row["she"]),
                cluster=row["trade"],
                category=row["trade"],
            )
            for doc_id, row in enumerate(islice(self._rows, limit))
        ]

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Log-odds of each prompt's two pronouns."""
        samples = []
        for document, (he, she) in zip(documents, responses, strict=True):
            odds = (he.loglikelihood or 0.0) - (she.loglikelihood or 0.0)
            statistics = {
                "abs_log_odds": (abs(odds),),
                "male_share": (0.5 + 0.5 * math.tanh(odds / 2),),
            }
            expected = document.content.get("planted")
            if expected is not None:
                statistics["stereotype_log_odds"] = (math.copysign(odds, odds * (expected - 0.5)),)
            answer = document.choices[0 if odds >= 0 else 1]
            samples.append(Sample(document, (he, she), statistics, answer=answer))
        return samples
