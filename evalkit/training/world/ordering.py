"""Texts whose sentences have one order in which they make sense, against the same in another."""

from random import Random

from evalkit.training.world import diaries, journeys
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World

_WRITERS = {"journey": journeys.draw, "diary": diaries.draw}
_HELD_OUT_EACH = 100


def passage(world: World, rng: Random) -> Passage:
    """One journey or diary, in order."""
    text = " ".join(_WRITERS[rng.choice(tuple(_WRITERS))](world, rng))
    return Passage("ordering", text, (_key(text),))


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
    return Question(row, text, _key(text))


def _key(text: str) -> str:
    return f"order of {text}"
