"""Requests in prefix order, cut into chunks where the least is shared.

What is cut apart is computed twice: the common prefix once in each chunk. So requests are sorted by
their tokens, as `engine/forest.py` does within a worker, and a chunk ends, within half and one and
a half times the size it is to have, where the two neighbours share least. A tree that is smaller
than that is never cut.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from evalkit.engine.forest import common_prefix
from evalkit.engine.tokenization import Encoder
from evalkit.types import Decoding, Request, RequestKind

_NARROW, _WIDE = 0.5, 1.5


class Work(StrEnum):
    """Kinds of requests whose tokens cost about the same; in the order in which they are begun."""

    TIMED = "timed"
    TEXT = "text"
    SCORED = "scored"


@dataclass(frozen=True, slots=True)
class Piece:
    """Requests that are computed together: their positions, and the tokens they cost."""

    indices: list[int]
    tokens: float


class Cutter:
    """Hands out sorted requests piece by piece, in sizes that are decided as it goes.

    Attributes:
        order: Positions of the N requests, sorted so that those that share are neighbours.

    Args:
        order: See above.
        common: Tokens that each shares with the one before, shape (N,).
        costs: Tokens that each adds after the one before, shape (N,).
        may_cut: Whether a piece may begin with it, shape (N,).
    """

    def __init__(
        self,
        order: Sequence[int],
        common: Sequence[int],
        costs: Sequence[float],
        may_cut: Sequence[bool],
    ) -> None:
        self.order = list(order)
        self._common = np.array([*common, 0])
        self._total = np.concatenate([[0.0], np.cumsum(costs)])
        self._may_cut = np.array([*may_cut, True])
        self._next = 0

    @property
    def left(self) -> float:
        """Tokens that have not been handed out."""
        return float(self._total[-1] - self._total[self._next])

    @property
    def total(self) -> float:
        """Tokens in all."""
        return float(self._total[-1])

    @property
    def is_empty(self) -> bool:
        """Whether everything was handed out."""
        return self._next == len(self.order)

    def take(self, tokens: float) -> Piece:
        """The next piece, of about so many tokens."""
        low = self._next
        high = self._cut(low, tokens)
        self._next = high
        cost = self._total[high] - self._total[low] + self._common[low]
        return Piece(self.order[low:high], float(cost))

    def _cut(self, low: int, tokens: float) -> int:
        start, end = self._total[low], len(self.order)
        first = max(low + 1, int(np.searchsorted(self._total, start + _NARROW * tokens)))
        last = max(first, int(np.searchsorted(self._total, start + _WIDE * tokens)))
        if last >= end:
            return end
        allowed = first + np.flatnonzero(self._may_cut[first : last + 1])
        if not len(allowed):
            return last + int(np.argmax(self._may_cut[last:]))
        least = allowed[self._common[allowed] == self._common[allowed].min()]
        away = np.abs(self._total[least] - start - tokens)
        return int(least[int(np.argmin(away))])


def lay_out(
    requests: Sequence[Request], missing: Iterable[int], encoder: Encoder
) -> dict[Work, Cutter]:
    """The missing requests, each kind in an order that keeps what shares a prefix together.

    Args:
        requests: All of them.
        missing: Positions of those that are to be asked.
        encoder: Of the model's tokenizer.
    """
    sorts: dict[Work, list[int]] = {}
    for index in missing:
        sorts.setdefault(_WORK[requests[index].kind], []).append(index)
    makers = {Work.TIMED: _timed, Work.TEXT: _texts, Work.SCORED: _scored}
    return {work: makers[work](requests, sorts[work], encoder) for work in Work if work in sorts}


def _scored(requests: Sequence[Request], indices: list[int], encoder: Encoder) -> Cutter:
    spans = dict(zip(indices, encoder.spans([requests[i] for i in indices]), strict=True))
    inputs = {i: parts[0].tokens[:-1] if parts else () for i, parts in spans.items()}
    order = sorted(indices, key=lambda i: inputs[i])
    common = _shared([inputs[i] for i in order])
    costs = [
        sum(len(span.tokens) - 1 for span in spans[i]) - shared
        for i, shared in zip(order, common, strict=True)
    ]
    # Equal ones are computed once.
    fresh = [True, *(spans[a] != spans[b] for a, b in pairwise(order))]
    return Cutter(order, common, costs, fresh)


def _texts(requests: Sequence[Request], indices: list[int], encoder: Encoder) -> Cutter:
    ids = encoder.encode([requests[i].context for i in indices])
    keys = {i: (ids[requests[i].context], _decoding(requests[i])) for i in indices}
    order = sorted(indices, key=lambda i: (keys[i][0], repr(keys[i][1])))
    common = _shared([keys[i][0] for i in order])
    fresh = [True, *(keys[a] != keys[b] for a, b in pairwise(order))]
    costs = [
        len(keys[i][0]) - shared + (keys[i][1].max_new_tokens if is_new else 0)
        for i, shared, is_new in zip(order, common, fresh, strict=True)
    ]
    return Cutter(order, common, costs, fresh)


def _timed(requests: Sequence[Request], indices: list[int], encoder: Encoder) -> Cutter:
    """One piece, so that all timings of a run are of one machine."""
    ids = encoder.encode([requests[i].context for i in indices])
    costs = [len(ids[requests[i].context]) + _decoding(requests[i]).max_new_tokens for i in indices]
    first = [True, *[False] * (len(indices) - 1)]
    return Cutter(indices, [0] * len(indices), costs, first)


def _shared(inputs: Sequence[Sequence[int]]) -> list[int]:
    return [0, *(common_prefix(a, b) for a, b in pairwise(inputs))]


def _decoding(request: Request) -> Decoding:
    return request.decoding or Decoding()


_WORK = {
    RequestKind.LOGLIKELIHOOD: Work.SCORED,
    RequestKind.ROLLING: Work.SCORED,
    RequestKind.GENERATE: Work.TEXT,
    RequestKind.TIMED: Work.TIMED,
}
