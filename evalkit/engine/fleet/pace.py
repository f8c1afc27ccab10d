"""What work costs, as measured: how large the next chunk is to be, and when a worker hangs."""

from collections import deque
from dataclasses import dataclass

FIRST_TOKENS = 2048.0
"""Size of chunks before anything was measured."""
_GROWTH = 8.0
"""A chunk is at most so many times the largest that was measured."""
_REMEMBERED = 16
_SLOWEST_FLOPS = 1e10
"""Floating-point operations a second that any machine manages, until it has been measured."""
_LOAD_S, _LOAD_BYTES_PER_S, _COMPILE_S = 300.0, 2e7, 1800.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How the fleet deals with chunks.

    Attributes:
        chunk_s: Seconds of work in a chunk; small against a run, large against the milliseconds
            that handing it out takes.
        patience_s: A worker hangs that has answered nothing for so long, or for `slack` times what
            the chunk should take, whichever is longer.
        slack: See there.
        tries: Times that a chunk may fail, each time elsewhere.
        start_s: How long the first worker may take to be there.
    """

    chunk_s: float = 5.0
    patience_s: float = 60.0
    slack: float = 10.0
    tries: int = 3
    start_s: float = 300.0


class Pace:
    """Seconds a token, of one kind of work on one checkpoint.

    Args:
        limits: How the fleet deals with chunks.
        parameters: Weights of the model, from which the first time limit follows.
    """

    def __init__(self, limits: Limits, parameters: int) -> None:
        self._limits = limits
        self._guess = 2.0 * parameters / _SLOWEST_FLOPS
        self._seen: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._largest = 0.0

    def saw(self, tokens: float, seconds: float) -> None:
        """Note what a chunk took."""
        self._seen.append((tokens, seconds))
        self._largest = max(self._largest, tokens)

    @property
    def rate(self) -> float | None:
        """Seconds a token over the last chunks; None before the first."""
        tokens = sum(tokens for tokens, _ in self._seen)
        return sum(seconds for _, seconds in self._seen) / tokens if tokens else None

    def seconds(self, tokens: float) -> float | None:
        """What so many tokens should take; None before anything was measured."""
        return None if self.rate is None else self.rate * tokens

    def next_size(self, left: float, workers: int) -> float:
        """Tokens of the next chunk.

        Towards the end chunks get smaller, so that all workers end at about the same time.

        Args:
            left: Tokens that are not handed out yet.
            workers: How many share them.
        """
        share = left / (2 * workers)
        if not self.rate:
            return max(min(FIRST_TOKENS, share), 1.0)
        aim = self._limits.chunk_s / self.rate
        aim = min(aim, _GROWTH * self._largest, max(share, aim / 8))
        return max(aim, 1.0)

    def limit_s(self, tokens: float) -> float:
        """Seconds after which a worker that has not answered such a chunk hangs."""
        expected = self.seconds(tokens)
        if expected is None:
            return self._limits.patience_s + self._guess * tokens
        return max(self._limits.patience_s, self._limits.slack * expected)


def load_limit_s(size: int, compiled: bool = False) -> float:
    """Seconds after which a worker that loads, or also compiles, so many bytes of weights hangs."""
    return _LOAD_S + size / _LOAD_BYTES_PER_S + (_COMPILE_S if compiled else 0.0)
