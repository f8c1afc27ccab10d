"""An engine whose answers are known and whose faults are asked for in the requests' texts.

A context that begins with `KILL`, `STOP`, `HANG`, `MEMORY` or `NAN` brings that about: once in all,
or, followed by `!`, each time.
"""

import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.types import Request, RequestKind, Response


def expected(request: Request) -> Response:
    """What every worker answers."""
    return Response(loglikelihood=-len(request.context) / 7, is_greedy=True, output_tokens=1)


def requests(count: int, **faults: str) -> list[Request]:
    """Requests of which some, by `at_<position>="KILL"`, bring about faults."""
    texts = {int(name.removeprefix("at_")): fault for name, fault in faults.items()}
    return [
        Request(RequestKind.LOGLIKELIHOOD, f"{texts.get(i, '')} The {i}th baker has bread.", " yes")
        for i in range(count)
    ]


@dataclass(frozen=True)
class Faulty:
    """Makes the engines; each leaves a file with its process's number in the folder.

    Args:
        folder: Where faults that have happened are noted.
        seconds: Each request takes.
    """

    folder: Path
    seconds: float = 0.0

    def __call__(self, asked: object) -> "FaultyEngine":
        (self.folder / f"{os.getpid()}.pid").touch()
        return FaultyEngine(self)


class FaultyEngine:
    """See the module's docstring."""

    device_name, max_length, cut = "cpu", 64, 0

    def __init__(self, maker: Faulty) -> None:
        self._maker = maker
        self.remarks: list[str] = []
        self.settings: dict[str, object] = {}

    def respond(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Response]]]:
        time.sleep(self._maker.seconds * len(requests))
        for index, request in enumerate(requests):
            fault = request.context.split(" ", 1)[0]
            if fault and (fault.endswith("!") or self._is_first(request)):
                _FAULTS[fault.rstrip("!")](index)
        yield [(index, expected(request)) for index, request in enumerate(requests)]

    def _is_first(self, request: Request) -> bool:
        try:
            (self._maker.folder / request.context.replace(" ", "-")).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class BrokenError(ArithmeticError):
    """Logits that are not finite, as the local engine tells of them."""

    def __init__(self, index: int) -> None:
        super().__init__(str(index))
        self.index = index


def _kill(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(_: int) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _hang(_: int) -> None:
    time.sleep(3600)


def _exhaust(_: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**31, resource.RLIM_INFINITY))
    bytearray(2**34)


def _break(index: int) -> None:
    raise BrokenError(index)


_FAULTS = {"KILL": _kill, "STOP": _stop, "HANG": _hang, "MEMORY": _exhaust, "NAN": _break}
