"""Latency: how long one user waits for a greedy answer, requests sent one after another."""

from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

from evalkit.probes.base import Probe
from evalkit.probes.bounded import above_zero
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

PROMPTS = (
    "The baker opened the shop early and",
    "On the way to the market she saw",
    "There was once a small town where",
    "Every morning the teacher asked the children to",
)
REPEATS = 4
NEW_TOKENS = 32


class Latency(Probe):
    """Times greedy generation of 32 tokens, one request at a time, after one warm-up.

    Metrics, each a mean over requests, defined as by MLPerf Inference and vLLM's serving benchmark:
    `first_token_s` from request to first token; `time_per_output_token_s`, (end - first token) over
    the tokens after the first; `end_to_end_s` from request to last token; `tokens_per_s`, output
    tokens over end-to-end time.
    """

    name = "latency"
    family = "latency"
    source = __name__
    config_hash = digest([PROMPTS, REPEATS, NEW_TOKENS])
    metrics: ClassVar = {
        "first_token_s": Metric(higher_is_better=False, unit="seconds"),
        "time_per_output_token_s": Metric(higher_is_better=False, unit="seconds"),
        "end_to_end_s": Metric(higher_is_better=False, unit="seconds"),
        "tokens_per_s": Metric(unit="tokens/s"),
    }

    def documents(self, limit: int | None, seed: int) -> list[Document]:
        """Each prompt several times; the first request is the warm-up and never scored."""
        decoding = Decoding(max_new_tokens=NEW_TOKENS)
        rounds = [(n, prompt) for n in range(REPEATS) for prompt in PROMPTS]
        warm_up = Request(RequestKind.TIMED, PROMPTS[0], decoding=decoding)
        documents = []
        for doc_id, (n, prompt) in enumerate(islice(rounds, limit)):
            request = Request(RequestKind.TIMED, prompt, decoding=decoding)
            requests = (warm_up, request) if doc_id == 0 else (request,)
            content = {"prompt": prompt, "repeat": n}
            documents.append(Document(self.name, doc_id, content, requests))
        return documents

    def score(
        self, documents: Sequence[Document], responses: Sequence[tuple[Response, ...]]
    ) -> list[Sample]:
        """Latencies of each request's own last response."""
        return [
            Sample(document, answers[-1:], latencies(answers[-1]), answer=answers[-1].text or "")
            for document, answers in zip(documents, responses, strict=True)
        ]

    def refine(self, scores: list[Score]) -> list[Score]:
        """The means, none of whose intervals goes below 0."""
        return [above_zero(score) for score in scores]


def latencies(response: Response) -> dict[str, tuple[float]]:
    """Statistics of one timed response, by the names of `Latency`'s metrics."""
    first, total = response.first_token_s or 0.0, response.total_s or 0.0
    figures = {"first_token_s": (first,), "end_to_end_s": (total,)}
    figures["tokens_per_s"] = (response.output_tokens / total,)
    if response.per_token_s is not None:
        figures["time_per_output_token_s"] = (response.per_token_s,)
    return figures
