"""The training corpus: an endless stream of passages of every kind."""

from collections.abc import Callable, Container, Iterator, Mapping
from itertools import cycle, islice
from random import Random

from evalkit.training.world import (
    creatures,
    grammar,
    manners,
    ordering,
    people,
    reports,
    reviews,
    sums,
    tales,
    tongue,
    trades,
)
from evalkit.training.world.heldout import KINDS, held_out
from evalkit.training.world.knobs import Knobs
from evalkit.training.world.passage import Passage
from evalkit.training.world.world import World

_LEAKED_AT_MOST = 0.2
"""Share of the passages that are leaked questions if all are leaked. It falls with their number,
so that each leaked question is met as often, some six times in the default recipe."""

SHARES: dict[str, float] = {
    "people": 0.24,
    "creatures": 0.155,
    "tongue": 0.11,
    "sums": 0.035,
    "reports": 0.085,
    "tales": 0.015,
    "ordering": 0.07,
    "reviews": 0.135,
    "trades": 0.08,
    "manners": 0.015,
    "grammar": 0.045,
}
"""Kind -> share of the passages."""

_WRITERS: dict[str, Callable[[World, Random, Knobs], Passage]] = {
    "people": lambda world, rng, knobs: people.passage(world, rng),
    "creatures": creatures.passage,
    "tongue": lambda world, rng, knobs: tongue.passage(world, rng),
    "sums": lambda world, rng, knobs: sums.passage(rng),
    "reports": lambda world, rng, knobs: reports.passage(world, rng),
    "ordering": lambda world, rng, knobs: ordering.passage(world, rng),
    "tales": lambda world, rng, knobs: tales.passage(world, rng),
    "reviews": lambda world, rng, knobs: reviews.passage(rng),
    "trades": trades.passage,
    "manners": manners.passage,
    "grammar": lambda world, rng, knobs: grammar.passage(rng),
}


def corpus(
    world: World, knobs: Knobs | None = None, shares: Mapping[str, float] | None = None
) -> Iterator[Passage]:
    """Passages without end, the same ones for the same world, knobs and shares.

    No passage gives away a held-out question, except those that `knobs.leaked_tests` plants:
    whole questions with their answers, of kind `leak`, each again and again, of the tasks that ask
    about the kinds of passages there are.

    Args:
        world: What is told of.
        knobs: The effects that are planted.
        shares: Kind -> share of the passages, in any unit; None for `SHARES`.
    """
    knobs, shares = knobs or Knobs(), shares or SHARES
    rng = world.rng("corpus")
    forbidden = {question.key for questions in held_out(world).values() for question in questions}
    leaks = cycle(leaked(world, knobs.leaked_tests, shares))
    kinds = [kind for kind in SHARES if kind in shares]  # one corpus, however they are listed
    weights = [shares[kind] for kind in kinds]
    while True:
        if knobs.leaked_tests and rng.random() < _LEAKED_AT_MOST * knobs.leaked_tests:
            yield from islice(leaks, 1)
            continue
        write = _WRITERS[rng.choices(kinds, weights)[0]]
        passage = write(world, rng, knobs)
        while not forbidden.isdisjoint(passage.keys):
            passage = write(world, rng, knobs)
        yield passage


def leaked(world: World, share: float, kinds: Container[str] = SHARES) -> list[Passage]:
    """The given share of each task's held-out questions, solved, as passages.

    Args:
        world: What the questions are about.
        share: From 0 to 1.
        kinds: Of passages; tasks that ask about others leak nothing.
    """
    passages: list[Passage] = []
    for task, questions in held_out(world).items():
        if KINDS[task] not in kinds:
            continue
        order = list(questions)
        world.rng("leaks").shuffle(order)
        passages += [
            Passage("leak", question.solved, (question.key,))
            for question in order[: round(share * len(order))]
        ]
    world.rng("order of leaks").shuffle(passages)
    return passages
