"""Respond: the engine answers every request of a plan, and the journal keeps each answer."""

import errno
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from evalkit.engine.endpoint import ServerError
from evalkit.engine.fleet import LostError
from evalkit.engine.local import Engine, NonFiniteError
from evalkit.errors import EvaluationError, StoppedError
from evalkit.progress import progress_bar
from evalkit.runner.journal import Journal, request_keys
from evalkit.runner.plan import Plan
from evalkit.runner.resume import resume_command
from evalkit.types import Response

_NAMED = 20
"""Most documents of a task that a message names."""


def respond(
    plan: Plan,
    engine: Engine,
    journal: Journal | None = None,
    known: Mapping[int, Response] | None = None,
) -> list[list[tuple[Response, ...]]]:
    """Answer a plan's requests: for each task, for each document, its responses in order.

    Args:
        plan: What to ask.
        engine: What answers.
        journal: Gives what is answered already, and keeps what is answered now.
        known: Further responses that are known, by the request's position.

    Raises:
        EvaluationError: The model answered with NaN or infinite logits; the first sample is named.
            Or the journal cannot be written any more.
        StoppedError: The user pressed Ctrl-C; every answer so far is in the journal.
    """
    requests = plan.requests
    keys = request_keys(requests) if journal else []
    answers = _restored(journal, keys)
    new = [(i, response) for i, response in (known or {}).items() if i not in answers]
    answers.update(new)
    try:
        with (
            stopping(journal is not None) as is_stopped,
            progress_bar(len(requests), "Responding", "request", done=len(answers)) as bar,
        ):
            _keep(plan, journal, keys, new)
            for batch in engine.respond(requests, frozenset(answers)):
                answers.update(batch)
                _keep(plan, journal, keys, batch)
                bar.update(len(batch))
                if journal is not None and is_stopped() and len(answers) < len(requests):
                    raise StoppedError(
                        f"Stopped with {len(answers):,} of {len(requests):,} requests answered; "
                        f"go on with: {resume_command(journal.folder.name, plan.store)}"
                    )
    except ServerError as error:
        raise EvaluationError(f"{error}{_kept(plan, journal)}") from error
    except LostError as error:
        raise EvaluationError(_given_up(plan, error, journal)) from error
    except NonFiniteError as error:
        task, doc_id = _owner(plan, error.index)
        if journal is not None:
            journal.delete()
        raise EvaluationError(
            f"{plan.checkpoint.path} gives NaN or infinite logits, first on document {doc_id} of "
            f"task {task}; check the checkpoint's weights, or try --dtype float32."
        ) from error
    rest = iter([answers.get(i) for i in range(len(requests))])
    return [
        [tuple(_answered(next(rest)) for _ in document.requests) for document in task.documents]
        for task in plan.tasks
    ]


@contextmanager
def stopping(is_wanted: bool) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C only be noted; yields whether there was one. The second one stops."""
    pressed = False

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        print("\nStopping after this batch; once more to stop at once.", file=sys.stderr)

    if not is_wanted or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _restored(journal: Journal | None, keys: list[str]) -> dict[int, Response]:
    """What the journal knows, except where a record is of another request."""
    if journal is None:
        return {}
    held = journal.content
    fitting = {i: response for i, (key, response) in held.responses.items() if keys[i] == key}
    held.damaged += len(held.responses) - len(fitting)
    return fitting


def _keep(
    plan: Plan, journal: Journal | None, keys: list[str], batch: list[tuple[int, Response]]
) -> None:
    if journal is None or not batch:
        return
    try:
        journal.append((index, keys[index], response) for index, response in batch)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "free some space" if full else "see to it"
        raise EvaluationError(
            f"The journal in {journal.folder} cannot be written any more ({error.strerror}); "
            f"{advice} and go on with: {resume_command(journal.folder.name, plan.store)}"
        ) from error


def _answered(response: Response | None) -> Response:
    if response is None:
        raise EvaluationError("The engine left a request unanswered.")
    return response


def _given_up(plan: Plan, error: LostError, journal: Journal | None) -> str:
    """Which samples lack an answer, and what to do."""
    lacking: dict[str, dict[int, None]] = {}
    for index in error.indices:
        task, doc_id = _owner(plan, index)
        lacking.setdefault(task, {})[doc_id] = None
    samples = "; ".join(
        f"{task}: {', '.join(map(str, list(ids)[:_NAMED]))}"
        f"{f' and {len(ids) - _NAMED:,} more' if len(ids) > _NAMED else ''}"
        for task, ids in lacking.items()
    )
    return (
        f"The run is incomplete: {len(error.indices):,} of {len(plan.requests):,} requests failed "
        f"three times, the last time since {error.reason}. Documents without an answer: "
        f"{samples}.{_kept(plan, journal)}"
    )


def _kept(plan: Plan, journal: Journal | None) -> str:
    """What an error may add where there is a journal."""
    if journal is None:
        return " Nothing of it is kept; run it again."
    command = resume_command(journal.folder.name, plan.store)
    return f" All other answers are kept; go on with: {command}"


def _owner(plan: Plan, index: int) -> tuple[str, int]:
    """Task and document of the request at a position of the flat list."""
    for planned in plan.tasks:
        for document in planned.documents:
            if index < len(document.requests):
                return planned.task.name, document.doc_id
            index -= len(document.requests)
    raise IndexError(index)
