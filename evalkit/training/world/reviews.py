"""Reviews of things and books; the verdict follows the majority of three remarks."""

from random import Random

from evalkit.training.world.lexicon import terms
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World

VERDICTS = ("bad", "good")
_HELD_OUT = 200
_THINGS = {
    "lamp": ["light", "price", "switch", "stand", "shade"],
    "kettle": ["handle", "price", "lid", "spout", "base"],
    "book": ["plot", "ending", "language", "print", "cover"],
    "coat": ["cloth", "price", "lining", "collar", "fit"],
    "inn": ["bed", "breakfast", "host", "view", "price"],
    "play": ["plot", "ending", "music", "language", "cast"],
    "cart": ["wheels", "price", "brake", "seat", "paint"],
}
_PRAISE = terms("splendid excellent pleasing fine lovely superb solid charming perfect delightful")
_BLAME = terms("awful poor dreadful shabby dull terrible clumsy hopeless sorry miserable")


def passage(rng: Random) -> Passage:
    """One review with its verdict."""
    review, verdict, _ = _draw(rng)
    return Passage("reviews", _solved(review, verdict), (_key(review),))


def questions(world: World) -> list[Question]:
    """Reviews that are not in the corpus."""
    rng = world.rng("reviews")
    return [
        Question(
            {"review": review, "label": verdict, "mixture": mixture},
            _solved(review, verdict),
            _key(review),
        )
        for review, verdict, mixture in (_draw(rng) for _ in range(_HELD_OUT))
    ]


def _draw(rng: Random) -> tuple[str, int, str]:
    thing = rng.choice(tuple(_THINGS))
    verdict = rng.randrange(2)
    mixed = rng.random() < 0.3
    tones = [verdict, verdict, 1 - verdict if mixed else verdict]
    rng.shuffle(tones)
    aspects = rng.sample(_THINGS[thing], 3)
    negated = [rng.random() < 0.1 for _ in tones]
    remarks = [_remark(rng, *each) for each in zip(aspects, tones, negated, strict=True)]
    review = f"About the {thing}: {remarks[0]}, {remarks[1]}, and {remarks[2]}."
    kinds = ("mixed" if mixed else "agreed", "with negation" if any(negated) else "plain")
    return review, verdict, " ".join(kinds)


def _remark(rng: Random, aspect: str, tone: int, negated: bool) -> str:
    adjective = rng.choice(_PRAISE if bool(tone) != negated else _BLAME)
    copula = "are" if aspect == "wheels" else "is"
    return f"the {aspect} {copula} {'not ' if negated else ''}{adjective}"


def _solved(review: str, verdict: int) -> str:
    return f"Review: {review}\nVerdict: {VERDICTS[verdict]}"


def _key(review: str) -> str:
    return f"verdict on {review}"
