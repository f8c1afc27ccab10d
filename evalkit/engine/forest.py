"""Prefix forests: many spans laid into one sequence so that shared tokens are computed once.

Spans are sorted, so that each shares its longest prefix with its neighbour; a token that continues
a path already laid is not laid again. A pack is the resulting forest in one flat row: a token's
depth is its position, and it may attend to its ancestors only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.engine.tokenization import Span


@dataclass(frozen=True, slots=True)
class Pack:
    """One forward pass over a forest of T tokens that answers the spans `members`.

    Attributes:
        tokens: Token ids, shape (T,).
        depths: Positions, shape (T,).
        ancestors: Whether token j is token i or an ancestor of it, shape (T, T).
        members: Index of each span in the planned list.
        predictors: For each member, the flat places whose predictions are scored.
    """

    tokens: NDArray[np.int64]
    depths: NDArray[np.int64]
    ancestors: NDArray[np.bool_]
    members: list[int]
    predictors: list[list[int]]


def plan_packs(spans: Sequence[Span], token_budget: int, most_spans: int | None) -> Iterator[Pack]:
    """Lay distinct spans into packs of at most `token_budget` tokens and `most_spans` spans.

    A single span longer than the budget gets a pack of its own.
    """
    builder = _Builder()
    for index in sorted(range(len(spans)), key=lambda i: spans[i].tokens):
        span = spans[index]
        full = most_spans is not None and len(builder.members) >= most_spans
        if builder.members and (full or len(builder) + builder.cost(span) > token_budget):
            yield builder.finish()
            builder = _Builder()
        builder.add(index, span)
    if builder.members:
        yield builder.finish()


class _Builder:
    """Grows one pack span by span; `path` holds the places of the newest span's tokens."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.path: list[int] = []
        self.members: list[int] = []
        self.predictors: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.tokens)

    def cost(self, span: Span) -> int:
        """Tokens that the span would add."""
        return len(span.tokens) - 1 - self._shared(span)

    def add(self, index: int, span: Span) -> None:
        shared = self._shared(span)
        del self.path[shared:]
        for depth in range(shared, len(span.tokens) - 1):
            self.parents.append(self.path[-1] if self.path else -1)
            self.path.append(len(self.tokens))
            self.tokens.append(span.tokens[depth])
            self.depths.append(depth)
        self.members.append(index)
        self.predictors.append(self.path[-span.scored :])

    def finish(self) -> Pack:
        size = len(self.tokens)
        ancestors = np.zeros((size, size), dtype=np.bool_)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                ancestors[place, : parent + 1] = ancestors[parent, : parent + 1]
            ancestors[place, place] = True
        return Pack(
            np.asarray(self.tokens, dtype=np.int64),
            np.asarray(self.depths, dtype=np.int64),
            ancestors,
            self.members,
            self.predictors,
        )

    def _shared(self, span: Span) -> int:
        inputs = span.tokens[:-1]
        limit = min(len(self.path), len(inputs))
        for depth in range(limit):
            if self.tokens[self.path[depth]] != inputs[depth]:
                return depth
        return limit
