"""Plain sentences, whose verbs agree with their subjects."""

from random import Random

from evalkit.training.world import lexicon as words
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World, uneven

_HELD_OUT = 200
_DOINGS = words.terms("sleep sing wait dance work shout laugh rest")
_WHENS = words.terms(
    "in the sun; at night; all day; in the rain; before noon; for hours; on {day}; without a word"
)


def passage(rng: Random) -> Passage:
    """Two to four sentences."""
    drawn = [_draw(rng) for _ in range(rng.randint(2, 4))]
    text = " ".join(f"{subject} {verb} {rest}" for subject, verb, _, rest, _ in drawn)
    return Passage("grammar", text, tuple(_key(subject, rest) for subject, _, _, rest, _ in drawn))


def questions(world: World) -> list[Question]:
    """Subjects with a right and a wrong form of the verb; another noun may stand between."""
    rng = world.rng("grammar")
    questions = []
    for subject, verb, wrong, rest, nearby in (_draw(rng) for _ in range(_HELD_OUT)):
        choices = [f"{verb} {rest}", f"{wrong} {rest}"]
        rng.shuffle(choices)
        row = {
            "subject": subject,
            "choices": choices,
            "answer": choices.index(f"{verb} {rest}"),
            "nearby_noun": nearby,
        }
        questions.append(Question(row, f"{subject} {verb} {rest}", _key(subject, rest)))
    return questions


def _draw(rng: Random) -> tuple[str, str, str, str, str]:
    """Subject, right verb, wrong verb, rest, and what number a noun between them has."""
    plural, noun = rng.random() < 0.5, uneven(rng, words.NOUNS)
    subject = f"The {uneven(rng, words.ADJECTIVES)} {words.plural(noun) if plural else noun}"
    nearby = "none"
    if rng.random() < 0.6:
        near_plural, near = rng.random() < 0.5, uneven(rng, words.NOUNS)
        subject += f" beside the {words.plural(near) if near_plural else near}"
        nearby = "same number" if near_plural == plural else "other number"
        if rng.random() < 0.4:
            subject += f" and the {words.plural(uneven(rng, words.NOUNS))}"
            nearby = "several nouns"
    verb = rng.choice(_DOINGS)
    right, wrong = (verb, words.third(verb)) if plural else (words.third(verb), verb)
    rest = rng.choice(_WHENS).format(day=rng.choice(words.DAYS)) + "."
    return subject, right, wrong, rest, nearby


def _key(subject: str, rest: str) -> str:
    return f"verb of {subject} {rest}"
