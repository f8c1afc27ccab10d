"""An engine that waits before each batch until it may, and notes what memory each one took."""

from collections.abc import Callable, Collection, Iterator, Sequence

from evalkit.engine.local import Engine
from evalkit.profiling.memory import ResidentPeak
from evalkit.types import Request, Response


class InTurn:
    """Hands requests to an engine, batch by batch.

    Args:
        engine: What answers.
        wait: Called before each batch; returns when the machine is this process's own.

    Attributes:
        rounds: Number of a round -> most bytes the process held in any of its batches.
        peak: Of the whole process.
    """

    def __init__(self, engine: Engine, wait: Callable[[], object]) -> None:
        self._engine, self._wait = engine, wait
        self.rounds: dict[str, int] = {}
        self.peak = ResidentPeak()

    def respond(
        self, requests: Sequence[Request], answered: Collection[int] = ()
    ) -> Iterator[list[tuple[int, Response]]]:
        """As the engine's."""
        batches = self._engine.respond(requests, answered)
        while True:
            self._wait()
            self.peak.lap()
            batch = next(batches, None)
            if batch is None:
                return
            held = self.peak.lap()
            if batch and held is not None:
                number = requests[batch[0][0]].batch.rpartition("-")[-1]
                self.rounds[number] = max(held, self.rounds.get(number, 0))
            yield batch
