"""Sums of two numbers of two digits, worked in steps."""

from random import Random

from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World

_HELD_OUT = 200


def passage(rng: Random) -> Passage:
    """Two to five sums, one a line."""
    pairs = [_pair(rng) for _ in range(rng.randint(2, 5))]
    return Passage("sums", "\n".join(_solved(*p) for p in pairs), tuple(_key(*p) for p in pairs))


def questions(world: World) -> list[Question]:
    """Sums held back, in either order of their numbers."""
    rng = world.rng("sums")
    pairs: dict[str, tuple[int, int]] = {}
    while len(pairs) < _HELD_OUT:
        pair = _pair(rng)
        pairs.setdefault(_key(*pair), pair)
    return [
        Question(
            {
                "question": f"{a}+{b}:",
                "answer": str(a + b),
                "carry": "carry" if a % 10 + b % 10 > 9 else "no carry",
            },
            _solved(a, b),
            key,
        )
        for key, (a, b) in pairs.items()
    ]


def _pair(rng: Random) -> tuple[int, int]:
    return rng.randint(10, 99), rng.randint(10, 99)


def _solved(a: int, b: int) -> str:
    """Worked as by hand: ones, then tens, then the answer."""
    (tens_a, ones_a), (tens_b, ones_b) = divmod(a, 10), divmod(b, 10)
    ones = f"{ones_a}+{ones_b}={ones_a + ones_b}"
    tens = f"{tens_a}+{tens_b}={tens_a + tens_b}"
    return f"{a}+{b}: {ones} {tens} {a + b}"


def _key(a: int, b: int) -> str:
    return f"sum {min(a, b)} {max(a, b)}"
