"""What a document of an lm-eval task asks, wants, and was answered, in evalkit's terms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance

from evalkit.engine.instances import answer_for
from evalkit.registry.own_metrics import Chosen, Written
from evalkit.types import Document, RequestKind, Response

OUTSIDE = -100
"""lm-eval's number of a target that is none of the choices."""


def hand_over(instances: list[Instance], answers: tuple[Response, ...]) -> None:
    """Give lm-eval's instances the responses in the shape its filters expect."""
    rest = iter(answers)
    for instance in instances:
        repeats = range(instance.repeats or 1)
        instance.resps = [answer_for(instance, next(rest)) for _ in repeats]
        instance.filtered_resps = {}


def wanted(task: Any, doc: Any) -> Any:
    """A document's target as lm-eval's task states it; None where it states none."""
    try:
        return task.doc_to_target(doc)
    except Exception:
        return None  # some tasks score without a target; it is shown, never used


def target_text(task: Any, doc: Any, target: Any) -> str:
    """The target as text: of a number among choices, the choice."""
    try:
        if isinstance(target, int) and task.config.doc_to_choice is not None:
            target = task.doc_to_choice(doc)[target]
    except Exception:
        return ""
    return "" if target is None else str(target)


def gold_choice(task: Any, doc: Any, target: Any, choices: int) -> int | None:
    """Position of the right choice; `OUTSIDE` where there is no such choice, None for several."""
    try:
        gold = task.doc_to_text(doc) if task.multiple_input else target
        if isinstance(gold, str):
            texts = task.doc_to_choice(doc)
            return texts.index(gold) if gold in texts else OUTSIDE
    except Exception:
        return None
    if not isinstance(gold, int):
        return None
    return gold if 0 <= gold < choices else OUTSIDE


def choices_of(instances: list[Instance]) -> tuple[str, ...]:
    """What distinguishes the scored answers: their continuations, or else their contexts."""
    if len(instances) < 2 or instances[0].request_type != "loglikelihood":
        return ()
    contexts = [instance.args[0] for instance in instances]
    continuations = [instance.args[1] for instance in instances]
    return tuple(continuations if len(set(continuations)) > 1 else contexts)


def answer_of(document: Document, filtered: list[Any]) -> str:
    """The extracted answer or the likeliest choice, as text."""
    if document.choices and all(isinstance(answer, tuple) for answer in filtered):
        best = int(np.argmax([answer[0] for answer in filtered]))
        return document.choices[best]
    if document.requests[0].kind is RequestKind.GENERATE:
        first = filtered[0]
        return str(first[0] if isinstance(first, list) and len(first) == 1 else first)
    return ""


def chosen(gold: int | None, filtered: list[Any], choices: int) -> Chosen | None:
    """The case our own metrics of choices judge; None where there is no one right choice."""
    if gold is None or not all(isinstance(answer, tuple) for answer in filtered):
        return None
    return Chosen(gold, tuple(float(answer[0]) for answer in filtered[:choices]))


def written(target: Any, filtered: list[Any]) -> Written | None:
    """The case our own metrics of texts judge; None where there is no text on either side."""
    text = filtered[0]
    if isinstance(text, list) and len(text) == 1:
        text = text[0]
    references = target if isinstance(target, list | tuple) else [target]
    if not references or not isinstance(text, str) or any(part is None for part in references):
        return None
    return Written(text, tuple(map(str, references)))


def per_token(answers: Sequence[Response]) -> tuple[float, ...]:
    """(log-likelihood in nats, tokens), which lm-eval's tasks cannot know."""
    loglikelihood = sum(answer.loglikelihood or 0.0 for answer in answers)
    return loglikelihood, float(sum(answer.output_tokens for answer in answers))


def label(content: Mapping[str, Any], field: str | None) -> str | None:
    """A field of the document as text; None where it has none."""
    return None if field is None or content.get(field) is None else str(content[field])
