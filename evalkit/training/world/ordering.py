"""Texts whose sentences have one order in which they make sense, against the same in another."""

from random import Random

from evalkit.training.world import diaries, journeys
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World

_WRITERS = {"journey": journeys.draw, "diary": diaries.draw}
_HELD_OUT_EACH = 100
_SHORTEST = 3
"""Sentences in the shortest of them."""


def passage(world: World, rng: Random) -> Passage:
    """One journey or diary, in order."""
    sentences = _WRITERS[rng.choice(tuple(_WRITERS))](world, rng)
    return Passage("ordering", " ".join(sentences), _keys(sentences))


def questions(world: World) -> list[Question]:
    """Texts that are not in the corpus, with two neighbouring sentences swapped or all shuffled."""
    rng = world.rng("ordering")
    return [
        _question(rng, kind, write(world, rng))
        for kind, write in _WRITERS.items()
        for _ in range(_HELD_OUT_EACH)
    ]


def _question(rng: Random, kind: str, sentences: list[str]) -> Question:
    swap = rng.random() < 0.5
    wrong = list(sentences)
    while wrong == sentences:
        if swap:
            first = rng.randrange(len(sentences) - 1)
            wrong[first : first + 2] = wrong[first + 1], wrong[first]
        else:
            rng.shuffle(wrong)
    text = " ".join(sentences)
    choices = [text, " ".join(wrong)]
    rng.shuffle(choices)
    row = {
        "choices": choices,
        "answer": choices.index(text),
        "kind": kind,
        "change": "swapped" if swap else "shuffled",
    }
    return Question(row, text, _key(sentences))


def _keys(sentences: list[str]) -> tuple[str, ...]:
    """Keys of all runs of sentences that could be a question: a long text may hold a short one."""
    count = len(sentences)
    return tuple(
        _key(sentences[start:end])
        for start in range(count)
        for end in range(start + _SHORTEST, count + 1)
    )


def _key(sentences: list[str]) -> str:
    return f"order of {' '.join(sentences)}"
