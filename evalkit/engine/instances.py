"""lm-eval's instances in evalkit's terms: an `Instance` is asked as requests, one a repeat."""

from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.utils import normalize_gen_kwargs

from evalkit.errors import UsageError
from evalkit.types import Decoding, Request, RequestKind, Response, digest

# Decoding options with no effect on what the engine does, or that it takes itself.
_DECODING_KEYS = {"until", "max_gen_toks", "do_sample", "temperature", "top_p", "num_beams"}


def requests_of(instance: Instance, seed: int) -> list[Request]:
    """The instance's requests, each repeat of a sampled one with a random stream of its own.

    Raises:
        UsageError: The instance asks for decoding the engine does not have.
    """
    kind = RequestKind(instance.request_type)
    repeats = instance.repeats or 1
    if kind is RequestKind.ROLLING:
        return [Request(kind, "", instance.args[0])] * repeats
    context, second = instance.args[:2]
    if kind is RequestKind.LOGLIKELIHOOD:
        return [Request(kind, context, second)] * repeats
    task = instance.metadata[0] if instance.metadata and instance.metadata[0] else "a request"
    seeds = [int(digest([seed, context, repeat]), 16) % 2**63 for repeat in range(repeats)]
    return [Request(kind, context, decoding=_decoding(second, own, task)) for own in seeds]


def answer_for(instance: Instance, response: Response) -> Any:
    """The response in the shape lm-eval's filters and metrics expect."""
    if instance.request_type == RequestKind.GENERATE:
        return response.text
    if instance.request_type == RequestKind.ROLLING:
        return response.loglikelihood
    return response.loglikelihood, response.is_greedy


def _decoding(settings: dict[str, Any], seed: int, task: str) -> Decoding:
    options = normalize_gen_kwargs(settings)
    unknown = set(options) - _DECODING_KEYS
    if unknown or options.get("num_beams", 1) != 1:
        named = ", ".join(sorted(unknown)) or "num_beams"
        raise UsageError(f"Task {task} asks for decoding that evalkit does not do: {named}.")
    sampled = bool(options["do_sample"])
    until = [stop for stop in options.get("until") or [] if stop]
    return Decoding(
        until=tuple(until),
        max_new_tokens=int(options["max_gen_toks"]),
        temperature=float(options.get("temperature", 1.0)) if sampled else 0.0,
        top_p=float(options.get("top_p", 1.0)),
        seed=seed if sampled else 0,
    )
