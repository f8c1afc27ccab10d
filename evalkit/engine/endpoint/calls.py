"""One request to an OpenAI-compatible server, and its answer."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from evalkit.engine.endpoint.address import Endpoint
from evalkit.engine.endpoint.pace import SENT_AT
from evalkit.types import Decoding, Request, RequestKind, Response

# The API takes no more; texts are cut at the others afterwards.
MOST_STOPS = 4
_USAGE = {"include_usage": True}


class GarbledError(Exception):
    """The server answered with something else than what was asked for."""


class NoLogprobsError(Exception):
    """The server gives no log-probabilities of the prompt."""


async def answer(client: Any, endpoint: Endpoint, request: Request, began: float) -> Response:
    """Ask one request.

    Args:
        client: An `openai.AsyncOpenAI`.
        endpoint: Whose model is asked.
        request: Of any kind.
        began: When its batch began, on the monotonic clock.

    Raises:
        GarbledError: The answer is not of the API's form, or was cut off.
        NoLogprobsError: A log-likelihood was asked, and the server offers none.
        openai.OpenAIError: The server refused, or could not be reached.
    """
    if request.kind is RequestKind.TIMED:
        return await _timed(client, endpoint, request, began)
    if request.kind is RequestKind.GENERATE:
        return await _generated(client, endpoint, request)
    return await _scored(client, endpoint, request)


async def _generated(client: Any, endpoint: Endpoint, request: Request) -> Response:
    decoding = request.decoding or Decoding()
    found = await _create(client, endpoint, request.context, decoding)
    choice = _only_choice(found)
    text = choice.message.content if endpoint.chat else choice.text
    if not isinstance(text, str):
        raise GarbledError("it has no text")
    usage = found.usage
    return Response(
        text=_cut(text, decoding.until),
        prompt_tokens=usage.prompt_tokens if usage else 0,
        output_tokens=usage.completion_tokens if usage else 0,
    )


async def _timed(client: Any, endpoint: Endpoint, request: Request, began: float) -> Response:
    """The server decides how many tokens a piece of its stream has, and says how many it made.

    Where it does not say, each piece counts as a token; a text that ends at once is one token. The
    clock runs from when the request was due, where its moment was set beforehand: a server that
    falls behind cannot make its requests wait unseen. Others are clocked from when they first left:
    a refusal and the pause after it are the server's, the client's own pace is not.
    """
    import openai

    try:
        stream = await _create(
            client, endpoint, request.context, request.decoding, stream=True, stream_options=_USAGE
        )
    except (openai.BadRequestError, openai.UnprocessableEntityError):  # perhaps of the options
        SENT_AT.set(None)
        stream = await _create(client, endpoint, request.context, request.decoding, stream=True)
    is_scheduled = bool(request.batch) and not request.at_once
    start = began + request.start_s if is_scheduled else SENT_AT.get() or began
    pieces, times, usage = await _pieces(stream, endpoint.chat)
    return Response(
        text="".join(pieces),
        prompt_tokens=usage.prompt_tokens if usage else 0,
        output_tokens=max(1, usage.completion_tokens) if usage else len(times),
        token_s=tuple(moment - start for moment in times),
        start_s=start - began,
    )


async def _pieces(stream: Any, is_chat: bool) -> tuple[list[str], list[float], Any]:
    """A stream's pieces of text, when each came, and the server's usage, if it tells."""
    import openai

    pieces: list[str] = []
    times: list[float] = []
    usage, end = None, None
    try:
        async for event in stream:
            usage = getattr(event, "usage", None) or usage
            for choice in event.choices or ():
                piece, thought = _written(choice, is_chat)
                pieces.append(piece)
                if piece or thought:
                    times.append(time.perf_counter())
                if choice.finish_reason and end is None:
                    end = time.perf_counter()
    except openai.APIConnectionError as error:
        raise GarbledError(f"its stream broke off: {error}") from error
    if end is None:
        raise GarbledError("its stream was cut off")
    return pieces, times or [end], usage


def _written(choice: Any, is_chat: bool) -> tuple[str, str]:
    """A piece of the answer, and one of what a reasoning model thinks before it."""
    if not is_chat:
        return choice.text or "", ""
    delta = choice.delta
    thoughts = [getattr(delta, name, None) for name in ("reasoning_content", "reasoning")]
    return delta.content or "", next(filter(None, thoughts), "")


async def _scored(client: Any, endpoint: Endpoint, request: Request) -> Response:
    """The prompt is sent back with its own log-probabilities, as lm-eval asks for them too.

    A context's trailing spaces belong to the continuation; so does a token across the border. The
    first token of a text has no log-probability anywhere, and counts as certain.
    """
    context = request.context.rstrip() if request.context.strip() else request.context
    whole = request.context + request.continuation
    found = await client.completions.create(
        model=endpoint.model, prompt=whole, max_tokens=1, temperature=0, echo=True, logprobs=1
    )
    choice = _only_choice(found)
    details = choice.logprobs
    if details is None or not details.token_logprobs or not details.text_offset:
        raise NoLogprobsError
    if not (choice.text or "").startswith(whole):
        raise NoLogprobsError
    border, end = len(context), len(whole)
    total, greedy, scored, before = 0.0, True, 0, 0
    tops = details.top_logprobs or [None] * len(details.tokens)
    places = token_places(details.tokens, details.text_offset, whole)
    for token, value, place, top in zip(
        details.tokens, details.token_logprobs, places, tops, strict=True
    ):
        if place is None:
            continue
        if place >= end:
            break
        # A token without text of its own is the beginning of the next one's character.
        if place + max(len(token), 1) <= border:
            before += 1
            continue
        scored += 1
        total += value or 0.0
        greedy = greedy and (top is None or max(top, key=lambda key: top[key]) == token)
    if not scored:
        raise GarbledError("it scores no token of the continuation")
    return Response(total, greedy, prompt_tokens=before, output_tokens=scored)


def token_places(tokens: Sequence[str], offsets: Sequence[int], text: str) -> Sequence[int | None]:
    """Where each token begins in a text; None for one that is not in it, such as a first token.

    Some servers (vLLM) give no places but the lengths so far, those of special tokens among them.

    Args:
        tokens: Of the text, and of what the server wrote after it.
        offsets: Their places as the server has them.
        text: The prompt.

    Raises:
        GarbledError: The tokens do not make up the text.
    """
    if all(o >= len(text) or text.startswith(t, o) for t, o in zip(tokens, offsets, strict=True)):
        return offsets
    places: list[int | None] = []
    at = 0
    for token in tokens:
        is_next = at >= len(text) or text.startswith(token, at)
        if not is_next and at:
            raise GarbledError("the tokens it sends back are not those of the prompt")
        places.append(at if is_next else None)
        at += len(token) if is_next else 0
    return places


async def _create(
    client: Any, endpoint: Endpoint, prompt: str, decoding: Decoding | None, **wishes: Any
) -> Any:
    decoding = decoding or Decoding()
    settings: dict[str, Any] = {
        "model": endpoint.model,
        "max_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
        **wishes,
    }
    if decoding.temperature > 0:
        settings |= {"top_p": decoding.top_p, "seed": decoding.seed}
    if decoding.until:
        settings["stop"] = list(decoding.until[:MOST_STOPS])
    if endpoint.chat:
        messages = [{"role": "user", "content": prompt}]
        return await client.chat.completions.create(messages=messages, **settings)
    return await client.completions.create(prompt=prompt, **settings)


def _only_choice(found: Any) -> Any:
    choices = getattr(found, "choices", None)
    if not choices:
        raise GarbledError("it has no choices")
    return choices[0]


def _cut(text: str, until: Iterable[str]) -> str:
    cuts = [place for stop in until if (place := text.find(stop)) >= 0]
    return text[: min(cuts)] if cuts else text
