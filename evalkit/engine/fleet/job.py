"""A job: one checkpoint and what it still has to be asked."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

from evalkit.engine.fleet.cut import Cutter, Piece, Work
from evalkit.engine.fleet.pace import Limits, Pace, load_limit_s
from evalkit.engine.fleet.worker import Answered, Asked, Loaded
from evalkit.errors import EvaluationError
from evalkit.types import Request, Response

Batch = list[tuple[int, Response]]
Event = Batch | Loaded | BaseException | None
"""What a job tells its run: answers, its checkpoint loaded, why it cannot go on, or all is done."""

_MORE_TIME = 4.0
"""A chunk that failed may take so many times as long at the next try."""


class LostError(Exception):
    """Requests were given up.

    Attributes:
        indices: Positions of the requests.
        reason: Of the last failure.
    """

    def __init__(self, indices: Sequence[int], reason: str) -> None:
        super().__init__(f"{len(indices)} requests were given up: {reason}")
        self.indices = sorted(indices)
        self.reason = reason


@dataclass
class Chunk:
    """Requests under way together, or waiting to be asked again.

    Attributes:
        failures: Why it failed, each time.
        nodes: On which nodes it failed.
        is_search: Asked to find the first request whose logits are not finite.
    """

    work: Work
    piece: Piece
    failures: list[str] = field(default_factory=list)
    nodes: set[str] = field(default_factory=set)
    is_search: bool = False


class Job:
    """What one checkpoint still has to be asked.

    Used by the scheduler's thread alone, but for `outbox`.

    Args:
        asked: The checkpoint.
        limits: How the fleet deals with chunks.
    """

    def __init__(self, asked: Asked, limits: Limits) -> None:
        self.asked = asked
        self.outbox: SimpleQueue[Event] = SimpleQueue()
        self.is_opening = True
        self.is_loaded = False
        self.is_over = False
        self.load_s: float | None = None
        self.retries: Counter[str] = Counter()
        self.cut = 0
        self.remarks: dict[str, None] = {}
        self.settings: dict[str, object] = {}
        self.devices: dict[str, None] = {}
        self._limits = limits
        self._failed_loads = 0
        self._requests: Sequence[Request] = ()
        self._again: deque[Chunk] = deque()
        self._cutters: dict[Work, Cutter] = {}
        self._paces = {work: Pace(limits, asked.parameters) for work in Work}
        self._unanswered: set[int] = set()
        self._lost: list[int] = []
        self._reason = ""
        self._searching = False

    def begin(self, requests: Sequence[Request], cutters: Mapping[Work, Cutter]) -> None:
        """Take what is to be asked."""
        self._requests = requests
        self._cutters = dict(cutters)
        self._unanswered = {i for cutter in cutters.values() for i in cutter.order}
        self.is_opening = False
        self._end_if_done()

    def next_chunk(
        self, workers: int, node: str, nodes: set[str], is_proven: bool = True
    ) -> Chunk | None:
        """What to ask next, or None where nothing waits that may be asked there.

        Args:
            workers: How many share the job.
            node: Where it would be asked.
            nodes: All nodes with workers: a chunk that failed goes to another one, if there is one.
            is_proven: Whether the worker has answered before. One that has not gets a fresh chunk
                while there are any: where workers die one after another, the same chunk would
                otherwise be with each of them.
        """
        has_fresh = any(not cutter.is_empty for cutter in self._cutters.values())
        for chunk in list(self._again) if is_proven or not has_fresh else ():
            if node not in chunk.nodes or nodes <= chunk.nodes:
                self._again.remove(chunk)
                return chunk
        for work, cutter in self._cutters.items():
            if not cutter.is_empty:
                size = self._paces[work].next_size(cutter.left, workers)
                return Chunk(work, cutter.take(size))
        return None

    @property
    def has_work(self) -> bool:
        """Whether anything waits to be handed out."""
        return bool(self._again) or any(not c.is_empty for c in self._cutters.values())

    def left_s(self) -> float | None:
        """Seconds of work that wait; None before anything was measured."""
        total = 0.0
        waiting = [(work, cutter.left) for work, cutter in self._cutters.items()]
        for work, tokens in [*waiting, *((c.work, c.piece.tokens) for c in self._again)]:
            seconds = self._paces[work].seconds(tokens) if tokens else 0.0
            if seconds is None:
                return None
            total += seconds
        return total

    def left_tokens(self) -> float:
        """Tokens that wait."""
        return sum(cutter.left for cutter in self._cutters.values())

    def requests_of(self, chunk: Chunk) -> list[tuple[int, Request]]:
        """The requests of a chunk with their positions, those answered meanwhile left out."""
        return [(i, self._requests[i]) for i in chunk.piece.indices if i in self._unanswered]

    def limit_s(self, chunk: Chunk | None, loads: bool) -> float:
        """Seconds after which a worker that has not answered hangs."""
        load = load_limit_s(self.asked.bytes, self.asked.compiled) if loads else 0.0
        if chunk is None:
            return load
        slack = float(self._limits.tries if chunk.is_search else 1)
        # Texts may be far longer than those that were measured: slow is not yet broken.
        slack *= _MORE_TIME ** len(chunk.failures)
        return load + slack * self._paces[chunk.work].limit_s(chunk.piece.tokens)

    def loaded(self, loaded: Loaded) -> None:
        """Note that a worker holds the checkpoint."""
        self.load_s = loaded.seconds
        self.devices[loaded.device] = None
        if not self.is_loaded:
            self.is_loaded = True
            self.outbox.put(loaded)

    def failed_to_load(self, reason: str) -> None:
        """Note that a worker died or hung while it loaded the checkpoint; ends the job in time."""
        self._failed_loads += 1
        if self._failed_loads >= self._limits.tries:
            self.fail(
                EvaluationError(
                    f"{self.asked.path} could not be loaded by {self._failed_loads} workers, one "
                    f"after another; the last: {reason}."
                )
            )

    def take(self, chunk: Chunk, answered: Answered, node: str) -> None:
        """Pass on a chunk's answers, each request's once."""
        if answered.loaded is not None:
            self.loaded(answered.loaded)
        if answered.broken is not None:
            self._found_broken(chunk, answered.broken)
            return
        if chunk.is_search:
            self.fail(_non_finite(chunk.piece.indices[-1]))  # this time it was none
            return
        self._paces[chunk.work].saw(chunk.piece.tokens, answered.seconds)
        new = [(i, response) for i, response in answered.responses if i in self._unanswered]
        self._unanswered.difference_update(i for i, _ in new)
        self.cut += answered.cut
        self.remarks.update(dict.fromkeys(answered.remarks))
        self.settings = answered.settings
        if new:
            self.outbox.put(new)
        left = [i for i in chunk.piece.indices if i in self._unanswered]
        if left:
            rest = replace(chunk, piece=replace(chunk.piece, indices=left))
            self.failed(rest, "a worker left requests unanswered", node)
        self._end_if_done()

    def failed(self, chunk: Chunk, reason: str, node: str) -> None:
        """Have a chunk asked again elsewhere, or give its requests up."""
        chunk.failures.append(reason)
        chunk.nodes.add(node)
        self.retries[reason] += 1
        if len(chunk.failures) < self._limits.tries:
            self._again.append(chunk)
            return
        if chunk.is_search:
            self.fail(_non_finite(chunk.piece.indices[-1]))
            return
        self.retries[reason] -= 1
        self._lost.extend(i for i in chunk.piece.indices if i in self._unanswered)
        self._unanswered.difference_update(chunk.piece.indices)
        self._reason = reason
        self._end_if_done()

    def fail(self, error: BaseException) -> None:
        """End the job."""
        if not self.is_over:
            self.is_over = True
            self._again.clear()
            self._cutters.clear()
            self.outbox.put(error)

    def _found_broken(self, chunk: Chunk, index: int) -> None:
        """Look for the run's first broken request, which is the one to be named."""
        before = sorted(i for i in self._unanswered if i <= index)
        if chunk.is_search or before == [index]:
            self.fail(_non_finite(index))
        elif not self._searching:
            self._searching = True
            tokens = sum(c.total for c in self._cutters.values()) + chunk.piece.tokens
            self._cutters.clear()
            self._again.clear()
            self._again.append(Chunk(chunk.work, Piece(before, tokens), is_search=True))

    def _end_if_done(self) -> None:
        if self._unanswered or self.is_over:
            return
        self.fail(LostError(self._lost, self._reason)) if self._lost else self._finish()

    def _finish(self) -> None:
        self.is_over = True
        self.outbox.put(None)


def _non_finite(index: int) -> Exception:
    from evalkit.engine.local import NonFiniteError  # needs torch, which a worker may not

    return NonFiniteError(index)
