"""The endpoint engine: a server answers requests, a bounded number at a time."""

import asyncio
import math
import os
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from evalkit.engine.endpoint.address import Endpoint
from evalkit.engine.endpoint.calls import GarbledError, NoLogprobsError, answer
from evalkit.engine.endpoint.pace import Pace
from evalkit.errors import DataError, EvaluationError, UsageError
from evalkit.types import Request, RequestKind, Response

RETRIES = 6
TIMEOUT_S = 120.0
_NO_LOGPROBS = (
    "{path} offers no log-probabilities of a prompt (completions with echo and logprobs); choose "
    "tasks that generate text, or a server that does, such as vLLM's."
)


class ServerError(EvaluationError):
    """The server could not be reached, or kept failing."""


class EndpointEngine:
    """Answers requests through an OpenAI-compatible server.

    Requests that fail with 408, 409, 429 or 5xx, time out or cannot be sent are tried again, with
    the pauses the server asks for or else growing ones (openai's client); an answer that is cut off
    or of another form likewise.

    Args:
        endpoint: The server and its model.
        concurrency: Most requests under way at a time; timed ones go out one by one, unless they
            are of one batch.
        per_minute: Most requests sent a minute, repeated ones too; None for no limit.
    """

    def __init__(
        self, endpoint: Endpoint, concurrency: int = 8, per_minute: float | None = None
    ) -> None:
        self._endpoint = endpoint
        self._concurrency = concurrency
        self._pace = Pace(per_minute or math.inf)
        self.load_s = 0.0
        self.warnings: list[str] = []
        self.device = None

    @property
    def settings(self) -> dict[str, object]:
        """What the engine chose, for the manifest."""
        return {"endpoint": self._endpoint.path, "concurrency": self._concurrency}

    def respond(
        self, requests: Sequence[Request], answered: Collection[int] = ()
    ) -> Iterator[list[tuple[int, Response]]]:
        """Answer the requests in any order: lists of (index into `requests`, response).

        Raises:
            UsageError: The server refuses the key, does not know the model or cannot score.
            DataError: The server calls a request impossible.
            ServerError: The server could not be reached, or kept failing.
        """
        known = frozenset(answered)
        missing = [i for i in range(len(requests)) if i not in known]
        if not missing:
            return
        if self._endpoint.chat and any(requests[i].kind in _SCORED for i in missing):
            raise UsageError(_NO_LOGPROBS.format(path=self._endpoint.path))
        free = [i for i in missing if requests[i].kind is not RequestKind.TIMED]
        batches: dict[object, list[int]] = {}
        for i in missing:
            if requests[i].kind is RequestKind.TIMED:
                batches.setdefault(requests[i].batch or i, []).append(i)
        with asyncio.Runner() as runner:
            # One for all batches, whose connections stay open: none is built up inside a clock.
            client = runner.run(self._open())
            try:
                yield from self._ask(runner, client, requests, free, self._concurrency)
                for batch in batches.values():
                    most = requests[batch[0]].at_once or len(batch)
                    found = self._ask(runner, client, requests, batch, most)
                    # As a whole: whoever takes the answers would hold up those under way.
                    yield [one for some in found for one in some]
            finally:
                runner.run(client.close())

    def _ask(
        self,
        runner: asyncio.Runner,
        client: Any,
        requests: Sequence[Request],
        indices: list[int],
        most: int,
    ) -> Iterator[list[tuple[int, Response]]]:
        """Keep so many requests under way until all are answered; yields those that came in."""
        began, waiting = time.perf_counter(), list(reversed(indices))
        under_way = set[asyncio.Task[tuple[int, Response]]]()
        try:
            while waiting or under_way:
                fresh = [waiting.pop() for _ in range(min(len(waiting), most - len(under_way)))]
                done, under_way = runner.run(self._some(client, began, requests, fresh, under_way))
                failed = [task for task in done if task.exception()]
                yield [task.result() for task in done if task not in failed]
                if failed:
                    failed[0].result()
        finally:
            runner.run(_cancel(under_way))

    async def _some(
        self,
        client: Any,
        began: float,
        requests: Sequence[Request],
        fresh: list[int],
        under_way: "set[asyncio.Task[tuple[int, Response]]]",
    ) -> "tuple[set[asyncio.Task[tuple[int, Response]]], set[asyncio.Task[tuple[int, Response]]]]":
        """Send the fresh requests, and wait until any is answered."""
        under_way |= {asyncio.create_task(self._one(client, began, i, requests[i])) for i in fresh}
        return await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _open(self) -> Any:
        try:
            import openai
        except ImportError as error:
            raise UsageError(
                "Endpoints are asked through the package openai; pip install 'evalkit[endpoints]'."
            ) from error
        return openai.AsyncOpenAI(
            base_url=self._endpoint.url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            max_retries=RETRIES,
            timeout=TIMEOUT_S,
            http_client=openai.DefaultAsyncHttpxClient(
                event_hooks={"request": [self._pace]}, limits=_endless(openai)
            ),
        )

    async def _one(
        self, client: Any, began: float, index: int, request: Request
    ) -> tuple[int, Response]:
        import openai

        path = self._endpoint.path
        await asyncio.sleep(request.start_s)
        for attempt in range(RETRIES + 1):
            try:
                return index, await answer(client, self._endpoint, request, began)
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise UsageError(f"{path} refuses the key; set OPENAI_API_KEY.") from error
            except openai.NotFoundError as error:
                raise UsageError(f"{path} is not there: {_reason(error)}.") from error
            except NoLogprobsError as error:
                raise UsageError(_NO_LOGPROBS.format(path=path)) from error
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                raise DataError(f"{path} refuses a request: {_reason(error)}.") from error
            except (openai.APIConnectionError, openai.APIStatusError) as error:
                raise ServerError(_unanswered(path, _reason(error))) from error
            except (GarbledError, openai.APIError, ValueError, AttributeError, TypeError) as error:
                if attempt == RETRIES:
                    reason = f"its answers are garbled, {_reason(error)}"
                    raise ServerError(_unanswered(path, reason)) from error
                await asyncio.sleep(_pause(attempt))
        raise AssertionError("the last attempt returns or raises")


def _endless(openai: Any) -> Any:
    """No bound on connections, nor on how long one is kept: building one up takes time."""
    endless = {"max_connections": None, "max_keepalive_connections": None}
    return type(openai.DEFAULT_CONNECTION_LIMITS)(**endless, keepalive_expiry=None)


_SCORED = (RequestKind.LOGLIKELIHOOD, RequestKind.ROLLING)


async def _cancel(under_way: "set[asyncio.Task[tuple[int, Response]]]") -> None:
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)


def _pause(attempt: int) -> float:
    return float(min(0.1 * 2**attempt, 5.0))


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _unanswered(path: str, reason: str) -> str:
    return f"{path} gave no answer after {RETRIES} retries ({reason})."
