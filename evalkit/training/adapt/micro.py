"""Rows of every layout from the micro-world, so that all kinds of adapting work offline.

None gives away a held-out question of a task: those are left out, as they are in the corpus.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import Any

from evalkit.errors import UsageError
from evalkit.training.world import creatures, manners, people, reports, reviews, sums, tongue
from evalkit.training.world.heldout import held_out
from evalkit.training.world.knobs import Knobs
from evalkit.training.world.passage import Passage
from evalkit.training.world.world import World

Row = dict[str, Any]

_WRITERS: dict[str, Callable[[World, Random], Passage]] = {
    "people": people.passage,
    "creatures": lambda world, rng: creatures.passage(world, rng, Knobs()),
    "reviews": lambda world, rng: reviews.passage(rng),
    "reports": reports.passage,
    "tongue": tongue.passage,
    "sums": lambda world, rng: sums.passage(rng),
}
_MARKS = {
    "people": ("\n\n", "\nA:"),
    "creatures": ("\n\n", "\nAnswer:"),
    "reviews": ("\n\n", "\nVerdict:"),
    "reports": ("\n\n", "\nSummary:"),
    "tongue": ("\n\n", f"\n{tongue.NAME}:"),
    "sums": ("\n", ":"),
}
"""Kind -> what stands between two questions of a passage, and what ends a question."""
_TRIES = 200
"""Draws in a row without a new question after which a kind is taken to be exhausted."""


def micro_rows(method: str, kinds: tuple[str, ...], count: int, seed: int) -> list[Row]:
    """So many rows of the layout that a method reads, fewer where the world has no more.

    Args:
        method: `sft`, `dpo`, `reward`, `grpo` or `classifier`.
        kinds: Kinds of rows, taken in turn; all that suit the method if empty.
        count: Rows wanted.
        seed: The same rows for the same seed.

    Raises:
        UsageError: A kind does not suit the method.
    """
    known = _KINDS[method]
    for kind in kinds:
        if kind not in known:
            raise UsageError(
                f"data.kinds: {kind!r} is no kind of micro-world row for {method}; "
                f"known are {', '.join(known)}."
            )
    world = World()
    rows = (_rows(method, kind, world, seed) for kind in kinds or known)
    return list(islice(_in_turn(rows), count))


def _rows(method: str, kind: str, world: World, seed: int) -> Iterator[Row]:
    rng = world.rng("rows", method, kind, seed)
    if kind == "manners":
        return _manners(method, rng)
    made = _questions(kind, world, rng)
    if method == "classifier":
        return ({"text": row["prompt"], "label": row["answer"], "kind": kind} for row in made)
    return made


def _questions(kind: str, world: World, rng: Random) -> Iterator[Row]:
    """Questions with their answers, each question once."""
    forbidden = {question.key for questions in held_out(world).values() for question in questions}
    between, mark = _MARKS[kind]
    seen: set[str] = set()
    idle = 0
    while idle < _TRIES:
        idle += 1
        passage = _WRITERS[kind](world, rng)
        if not forbidden.isdisjoint(passage.keys):
            continue
        for item in passage.text.split(between):
            question, found, answer = item.partition(mark)
            if found and question not in seen:
                seen.add(question)
                idle = 0
                yield {
                    "prompt": question + mark,
                    "completion": answer,
                    "answer": answer.split()[-1] if kind == "sums" else answer.strip(),
                    "kind": kind,
                }


def _manners(method: str, rng: Random) -> Iterator[Row]:
    """Requests, with a polite and a rude reply where two are wanted."""
    seen: set[tuple[str, ...]] = set()
    idle = 0
    while idle < _TRIES:
        idle += 1
        prompt, polite, rude = manners.exchange(rng)
        row = {"prompt": prompt, "chosen": polite, "rejected": rude, "kind": "manners"}
        if method == "grpo":
            row = {"prompt": prompt, "kind": "manners"}
        if method == "sft":
            row = {"prompt": prompt, "completion": polite, "answer": polite, "kind": "manners"}
        if tuple(row.values()) not in seen:
            seen.add(tuple(row.values()))
            idle = 0
            yield row


def _in_turn(sources: Iterator[Iterator[Row]]) -> Iterator[Row]:
    """One row of each in turn, until all are exhausted."""
    waiting = deque(sources)
    while waiting:
        source = waiting.popleft()
        row = next(source, None)
        if row is not None:
            yield row
            waiting.append(source)


_KINDS: dict[str, tuple[str, ...]] = {
    "sft": (*_MARKS, "manners"),
    "dpo": ("manners",),
    "reward": ("manners",),
    "grpo": ("manners", "sums"),
    "classifier": ("reviews",),
}
"""Method -> kinds of rows that suit it."""
