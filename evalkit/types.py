"""The values every layer speaks: requests, responses, documents, samples, scores.

They follow a run: the registry makes `Document`s holding `Request`s, the engine answers each
with a `Response`, a task turns both into `Sample`s, and the runner sums samples to `Score`s.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class RequestKind(StrEnum):
    """What is asked of a model; the first three carry lm-eval's names."""

    LOGLIKELIHOOD = "loglikelihood"
    ROLLING = "loglikelihood_rolling"
    GENERATE = "generate_until"
    TIMED = "timed_generation"


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is generated.

    Attributes:
        until: Strings that end the text; the text is cut before the first of them.
        max_new_tokens: Most tokens to generate.
        temperature: 0 for greedy decoding.
        top_p: Nucleus kept when sampling.
        seed: Seed of the request's own random stream when sampling.
    """

    until: tuple[str, ...] = ()
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    Attributes:
        kind: Which of the fields below are meant.
        context: The prompt; for `ROLLING`, empty.
        continuation: The text to score after the context (`LOGLIKELIHOOD`) or whole (`ROLLING`).
        decoding: Set for `GENERATE` and `TIMED`.
        batch: Timed requests of one batch are answered side by side; alone if empty.
        start_s: Seconds after its batch's start at which a timed request is sent to an endpoint.
        at_once: Most of its batch that are under way at an endpoint at a time; 0 for all of it.
    """

    kind: RequestKind
    context: str
    continuation: str = ""
    decoding: Decoding | None = None
    batch: str = ""
    start_s: float = 0.0
    at_once: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """A model's answer to one request; fields that do not apply to its kind are None.

    Attributes:
        loglikelihood: Natural-log probability of the continuation, summed over its tokens.
        is_greedy: Whether greedy decoding would have produced the continuation.
        text: The generated text.
        prompt_tokens: Tokens in the context.
        output_tokens: Tokens scored or generated.
        token_s: Seconds from the request to each of its tokens (`TIMED`); at an endpoint, to each
            piece of its stream, which may hold several.
        start_s: Seconds from its batch's start to its clock's (`TIMED`, at an endpoint).
    """

    loglikelihood: float | None = None
    is_greedy: bool | None = None
    text: str | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    token_s: tuple[float, ...] | None = None
    start_s: float = 0.0

    @property
    def first_token_s(self) -> float | None:
        """Seconds from the request to its first token (`TIMED`)."""
        return self.token_s[0] if self.token_s else None

    @property
    def total_s(self) -> float | None:
        """Seconds from the request to its last token (`TIMED`)."""
        return self.token_s[-1] if self.token_s else None

    @property
    def per_token_s(self) -> float | None:
        """Seconds from the first token to the last, over the tokens after the first (`TIMED`).

        None of an answer of one token, or one that came in one piece.
        """
        if self.output_tokens < 2 or len(self.token_s or ()) < 2:
            return None
        return ((self.total_s or 0.0) - (self.first_token_s or 0.0)) / (self.output_tokens - 1)


@dataclass(slots=True)
class Document:
    """One item of a task together with the requests made of it.

    Attributes:
        task: Name of the task.
        doc_id: Position of the item in the task's evaluation split.
        content: The item's own fields.
        requests: What is asked of the model, in order.
        target: The right answer as text, where there is one.
        choices: Answer texts of a multiple-choice item.
        cluster: Family of documents this one belongs to (passage, template), if any.
        category: Label the samples can be broken down by, if any.
    """

    task: str
    doc_id: int
    content: Mapping[str, Any]
    requests: tuple[Request, ...]
    target: str = ""
    choices: tuple[str, ...] = ()
    cluster: str | None = None
    category: str | None = None

    @property
    def doc_hash(self) -> str:
        """Hash of the item's content."""
        return digest(self.content)

    @property
    def prompt_hash(self) -> str:
        """Hash of everything the model is asked about the item, decoding settings included."""
        return digest([_plain(request) for request in self.requests])


@dataclass(slots=True)
class Sample:
    """A document with its responses and, for each metric, its sufficient statistics.

    Attributes:
        document: What was asked.
        responses: One for each of the document's requests.
        statistics: For each metric the numbers its aggregation sums over samples
            (see `evalkit.metrics.aggregation`); one number where the metric is a mean.
        filter: lm-eval's name of the answer extraction that was applied.
        answer: The extracted answer or the chosen option, as text.
    """

    document: Document
    responses: tuple[Response, ...]
    statistics: Mapping[str, tuple[float, ...]]
    filter: str = "none"
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """How the samples' statistics of one metric become a score.

    Attributes:
        aggregation: Name in `evalkit.metrics.aggregation.AGGREGATIONS`.
        higher_is_better: None where neither direction is better.
        unit: Unit of the score; empty for ratios.
    """

    aggregation: str = "mean"
    higher_is_better: bool | None = True
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one task over all samples; what is undefined is None, never 0.

    Attributes:
        n: Number of samples.
        n_clusters: Number of clusters where samples come in families.
        interval: Method the interval was made with.
        aggregation: How samples become the value.
        note: What a reader has to know about the interval.
        tasks: Number of tasks where `task` names a suite that this is a figure of.
    """

    task: str
    metric: str
    filter: str
    value: float | None
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    higher_is_better: bool | None
    n_clusters: int | None = None
    interval: str | None = None
    aggregation: str = "mean"
    family: str | None = None
    unit: str = ""
    note: str | None = None
    tasks: int | None = None


def digest(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _plain(request: Request) -> list[Any]:
    decoding = request.decoding
    settings = None
    if decoding is not None:
        settings = [
            decoding.until,
            decoding.max_new_tokens,
            decoding.temperature,
            decoding.top_p,
            decoding.seed,
        ]
    batch = [request.batch, request.start_s] if request.batch else []
    return [request.kind, request.context, request.continuation, settings, *batch]
