"""Responses of earlier runs, taken only where every hash agrees."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from evalkit.engine.endpoint import Endpoint
from evalkit.errors import DataError, UsageError
from evalkit.results import Manifest, Store
from evalkit.runner.plan import Plan
from evalkit.types import Document, RequestKind, Response

_COLUMNS = [
    "prompt_hash",
    "loglikelihoods",
    "is_greedy",
    "responses",
    "prompt_tokens",
    "output_tokens",
]
_SCORED = (RequestKind.LOGLIKELIHOOD, RequestKind.ROLLING)


@dataclass(frozen=True, slots=True)
class Reused:
    """Responses that are known already.

    Attributes:
        responses: Position of the request in the plan -> its response.
        counts: Run id -> number of responses taken from it.
    """

    responses: dict[int, Response] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def reusable(plan: Plan, identity: dict[str, str]) -> Reused:
    """What the store's runs know of a plan's requests.

    A response is taken where the run was answered by exactly what answers now (weights, tokenizer,
    dtype, device, libraries) and all requests of the document, decoding included, hash alike. Timed
    requests are never reused. Runs that cannot be read are passed over.

    Raises:
        UsageError: The model is behind an endpoint, whose weights nobody can compare.
    """
    if isinstance(plan.checkpoint, Endpoint):
        raise UsageError(
            "--reuse needs a checkpoint: whether a server's weights are still those of an earlier "
            "run, nobody can tell."
        )
    found = Reused()
    runs = [run for run in reversed(plan.store.listing().runs) if run.answered_by == identity]
    rows: dict[str, dict[str, Any]] = {}
    of_task = None
    for position, task, document in _documents(plan):
        if task != of_task:  # one task's samples at a time are held in memory
            rows, of_task = {}, task
        for run in runs:
            if run.run_id not in rows:
                rows[run.run_id] = _rows(plan.store, run, task)
            row = rows[run.run_id].get(document.prompt_hash)
            responses = None if row is None else _responses(row, document)
            if responses is not None:
                found.responses.update(enumerate(responses, position))
                found.counts[run.run_id] = found.counts.get(run.run_id, 0) + len(responses)
                break
    return found


def _rows(store: Store, run: Manifest, task: str) -> dict[str, Any]:
    """Prompt hash -> the sample's answers; empty where the run lacks the task."""
    if task not in run.tasks:
        return {}
    try:
        samples = store.samples_table(run.run_id, task, _COLUMNS)
    except DataError:
        return {}
    return {str(row["prompt_hash"]): row for row in samples.to_pylist()}


def _responses(row: Any, document: Document) -> list[Response] | None:
    """The responses of a document's requests, in order; None where the row has not one for each."""
    kinds = [request.kind in _SCORED for request in document.requests]
    scored, texts = sum(kinds), len(kinds) - sum(kinds)
    values, greedy, made, prompts, outputs = (
        [] if row[name] is None else row[name] for name in _COLUMNS[1:]
    )
    if [len(values), len(greedy), len(made), len(prompts), len(outputs)] != [
        scored, scored, texts, len(kinds), len(kinds),
    ]:  # fmt: skip
        return None
    scores = iter([Response(float(v), bool(g)) for v, g in zip(values, greedy, strict=True)])
    written = iter([Response(text=str(text)) for text in made])
    return [
        replace(
            next(scores) if is_scored else next(written),
            prompt_tokens=int(prompt),
            output_tokens=int(output),
        )
        for is_scored, prompt, output in zip(kinds, prompts, outputs, strict=True)
    ]


def _documents(plan: Plan) -> Iterator[tuple[int, str, Document]]:
    """Position of the first request, task and document; those with timed requests left out."""
    position = 0
    for planned in plan.tasks:
        for document in planned.documents:
            if all(request.kind is not RequestKind.TIMED for request in document.requests):
                yield position, planned.task.name, document
            position += len(document.requests)
