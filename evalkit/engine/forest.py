"""Prefix forests: which forward passes answer many spans with every shared token computed once.

Spans are sorted by their inputs, so that those with a common prefix are neighbours. A *pass* lays a
part of the forest into one flat row, depth first; a token's depth is its position and it sees its
ancestors only. Where a subtree is larger than the token budget, its common prefix, the *trunk*, is
a pass of its own whose keys and values are kept, and the branches follow on top of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.engine.tokenization import Span

# Carrying a trunk splits passes; fewer tokens than these are quicker computed again.
WORTH_CARRYING = 64

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass over T tokens.

    Attributes:
        tokens: Token ids, shape (T,).
        depths: Positions, shape (T,).
        ends: One more than the last place of each token's subtree, shape (T,): token i sees token j
            where j <= i < ends[j].
        level: How many kept trunks the tokens stand on.
        keep: Whether this pass is a trunk whose keys and values later passes need.
        places: Flat place of each prediction, shape (P,).
        targets: Token that is to be predicted there, shape (P,).
        owners: Index of the span the prediction counts for, shape (P,).
    """

    tokens: Places
    depths: Places
    ends: Places
    level: int
    keep: bool
    places: Places
    targets: Places
    owners: Places

    @property
    def rows(self) -> Places:
        """Row of the pass's logits, one a distinct place in order, that each prediction reads."""
        return np.unique(self.places, return_inverse=True)[1]

    def path(self, place: int) -> Places:
        """Positions of a token, its ancestors and the trunks below, where these stand in front."""
        below = int(self.depths[0])
        own = np.arange(place + 1)
        return np.concatenate([np.arange(below), below + own[self.ends[: place + 1] > place]])


class _Work(NamedTuple):
    """A run of sorted spans whose first `start` tokens are shared and lie in `level` trunks."""

    low: int
    high: int
    start: int
    level: int


def plan_passes(
    spans: Sequence[Span],
    token_budget: int,
    prediction_budget: int,
    most_spans: int | None = None,
) -> Iterator[Pass]:
    """Lay spans into passes, trunks before what stands on them.

    Args:
        spans: In any order.
        token_budget: Most tokens in a pass.
        prediction_budget: Most predictions in a pass, unless one span alone has more.
        most_spans: Most spans answered in a pass.
    """
    if spans:
        yield from _Planner(spans, token_budget, prediction_budget, most_spans).passes()


def needed_passes(passes: Iterable[Pass], skipped: NDArray[np.bool_]) -> Iterator[Pass]:
    """The passes that answer a span that is not skipped, each after the trunks it stands on.

    A pass that is kept is the pass of the full plan, neighbours and all, so that what it computes
    is the same to the last bit.

    Args:
        passes: In the planner's order.
        skipped: For each span, whether its answer is known already.
    """
    waiting: list[Pass] = []
    for step in passes:
        waiting = [trunk for trunk in waiting if trunk.level < step.level]
        if not skipped[step.owners].all():
            yield from waiting
            yield step
            waiting = []
        elif step.keep:
            waiting.append(step)


class _Planner:
    def __init__(
        self,
        spans: Sequence[Span],
        token_budget: int,
        prediction_budget: int,
        most_spans: int | None,
    ) -> None:
        self.order = sorted(range(len(spans)), key=lambda i: spans[i].tokens[:-1])
        self.spans = [spans[i] for i in self.order]
        self.budget = token_budget
        self.prediction_budget = prediction_budget
        self.most_spans = most_spans or len(spans)
        self.lengths = np.array([len(span.tokens) - 1 for span in self.spans])
        inputs = [span.tokens[:-1] for span in self.spans]
        self.common = np.array([0, *(common_prefix(a, b) for a, b in pairwise(inputs))])
        self.total = np.concatenate([[0], np.cumsum(self.lengths - self.common)])

    def passes(self) -> Iterator[Pass]:
        stack = [_Work(0, len(self.spans), 0, 0)]
        open_pass: _Builder | None = None
        while stack:
            work = stack.pop()
            if self._fits(work):
                for index in range(work.low, work.high):
                    span = self.spans[index]
                    if open_pass and not self._has_room(open_pass, work, span):
                        yield open_pass.finish()
                        open_pass = None
                    open_pass = open_pass or _Builder(work.start, work.level)
                    open_pass.add(self.order[index], span)
                continue
            if open_pass:
                yield open_pass.finish()
                open_pass = None
            shared = self._shared(work)
            if self._deserves_trunk(work, shared):
                laid = list(self._trunk(work, shared))
                yield from laid
                work = _Work(work.low, work.high, shared, work.level + len(laid))
            stack.extend(reversed(self._branches(work, shared)))
        if open_pass:
            yield open_pass.finish()

    def _fits(self, work: _Work) -> bool:
        """Whether the run goes into one pass, or, where predictions are many, span by span."""
        most = self.prediction_budget
        return self._cost(work) <= self.budget and (
            work.high - work.low > 1 or self._predictions_from(work.low, work.start) <= most
        )

    def _predictions_from(self, index: int, start: int) -> int:
        span = self.spans[index]
        return min(span.scored, len(span.tokens) - 1 - start)

    def _deserves_trunk(self, work: _Work, shared: int) -> bool:
        """A lone span that does not fit is cut into trunks; a shared one has to save something."""
        saved = (shared - work.start) * (self._cost(work) // self.budget)
        return work.high - work.low == 1 or saved >= WORTH_CARRYING

    def _cost(self, work: _Work) -> int:
        first = int(self.lengths[work.low]) - work.start
        return first + int(self.total[work.high] - self.total[work.low + 1])

    def _shared(self, work: _Work) -> int:
        if work.high - work.low == 1:
            return int(self.lengths[work.low])
        return int(self.common[work.low + 1 : work.high].min())

    def _has_room(self, laid: "_Builder", work: _Work, span: Span) -> bool:
        return (
            (laid.start, laid.level) == (work.start, work.level)
            and len(laid.tokens) + laid.cost(span) <= self.budget
            and len(laid.places) + span.scored <= self.prediction_budget
            and len(laid.members) < self.most_spans
        )

    def _trunk(self, work: _Work, shared: int) -> Iterator[Pass]:
        """Passes over the run's common tokens, with what its spans predict there."""
        path = self.spans[work.low].tokens
        room = self.budget
        if work.high - work.low == 1:
            room = min(room, self.prediction_budget)
        for level, low in enumerate(range(work.start, shared, room), work.level):
            high = min(low + room, shared)
            size = high - low
            predictions = [
                (depth - low, span.tokens[depth + 1], self.order[index])
                for index, span in enumerate(self.spans[work.low : work.high], work.low)
                for depth in range(max(low, len(span.tokens) - 1 - span.scored), high)
                if depth < len(span.tokens) - 1
            ]
            yield Pass(
                tokens=np.array(path[low:high], dtype=np.int64),
                depths=np.arange(low, high),
                ends=np.full(size, size),
                level=level,
                keep=True,
                **_columns(predictions),
            )

    def _branches(self, work: _Work, shared: int) -> list[_Work]:
        """The run cut where its spans part, without those that a trunk has answered already."""
        low = work.low
        while low < work.high and self.lengths[low] <= work.start:
            low += 1
        if low == work.high:
            return []
        inner = self.common[low + 1 : work.high]
        cuts = [low, *(low + 1 + np.flatnonzero(inner <= shared)).tolist(), work.high]
        return [_Work(a, b, work.start, work.level) for a, b in pairwise(cuts)]


class _Builder:
    """Grows one pass span by span.

    `path` holds the places of the newest span's tokens, `trail` the tokens themselves.
    """

    def __init__(self, start: int, level: int) -> None:
        self.start = start
        self.level = level
        self.tokens: list[int] = []
        self.depths: list[int] = []
        self.ends: list[int] = []
        self.path: list[int] = []
        self.trail: list[int] = []
        self.members: list[int] = []
        self.places: list[int] = []
        self.targets: list[int] = []
        self.owners: list[int] = []

    def cost(self, span: Span) -> int:
        """Tokens that the span would add."""
        return len(span.tokens) - 1 - self.start - self._shared(span)

    def add(self, owner: int, span: Span) -> None:
        shared = self._shared(span)
        for place in self.path[shared:]:
            self.ends[place] = len(self.tokens)
        size, low = len(span.tokens) - 1, self.start + shared
        new = size - low
        del self.path[shared:], self.trail[shared:]
        self.trail.extend(span.tokens[low:size])
        self.path.extend(range(len(self.tokens), len(self.tokens) + new))
        self.tokens.extend(span.tokens[low:size])
        self.depths.extend(range(low, size))
        self.ends.extend([0] * new)
        self.members.append(owner)
        first = max(size - span.scored, self.start)
        self.places.extend(self.path[first - self.start : size - self.start])
        self.targets.extend(span.tokens[first + 1 :])
        self.owners.extend([owner] * (size - first))

    def finish(self) -> Pass:
        ends = np.array(self.ends)
        ends[self.path] = len(self.tokens)
        return Pass(
            tokens=np.array(self.tokens, dtype=np.int64),
            depths=np.array(self.depths, dtype=np.int64),
            ends=ends,
            level=self.level,
            keep=False,
            places=np.array(self.places, dtype=np.int64),
            targets=np.array(self.targets, dtype=np.int64),
            owners=np.array(self.owners, dtype=np.int64),
        )

    def _shared(self, span: Span) -> int:
        return common_prefix(self.trail, list(span.tokens[self.start : -1]))


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle)
    return low


def _columns(predictions: list[tuple[int, int, int]]) -> dict[str, Places]:
    table = np.array(predictions, dtype=np.int64).reshape(-1, 3)
    return {"places": table[:, 0], "targets": table[:, 1], "owners": table[:, 2]}
