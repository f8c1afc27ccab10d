"""Respond: the engine answers every request of a plan."""

from evalkit.engine.local import Engine, NonFiniteError
from evalkit.errors import EvaluationError
from evalkit.runner.plan import Plan
from evalkit.runner.progress import progress
from evalkit.types import Response


def respond(plan: Plan, engine: Engine) -> list[list[tuple[Response, ...]]]:
    """Answer a plan's requests: for each task, for each document, its responses in order.

    Raises:
        EvaluationError: The model answered with NaN or infinite logits; the first sample is named.
    """
    requests = plan.requests
    answers: list[Response | None] = [None] * len(requests)
    try:
        with progress(len(requests), "Responding", "request") as advance:
            for batch in engine.respond(requests):
                for index, response in batch:
                    answers[index] = response
                advance(len(batch))
    except NonFiniteError as error:
        task, doc_id = _owner(plan, error.index)
        raise EvaluationError(
            f"{plan.checkpoint.path} gives NaN or infinite logits, first on document {doc_id} of "
            f"task {task}; check the checkpoint's weights, or try --dtype float32."
        ) from error
    rest = iter(answers)
    return [
        [tuple(_answered(next(rest)) for _ in document.requests) for document in task.documents]
        for task in plan.tasks
    ]


def _answered(response: Response | None) -> Response:
    if response is None:
        raise EvaluationError("The engine left a request unanswered.")
    return response


def _owner(plan: Plan, index: int) -> tuple[str, int]:
    """Task and document of the request at a position of the flat list."""
    for planned in plan.tasks:
        for document in planned.documents:
            if index < len(document.requests):
                return planned.task.name, document.doc_id
            index -= len(document.requests)
    raise IndexError(index)
