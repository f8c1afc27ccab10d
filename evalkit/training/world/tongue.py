"""A toy language: own words, verb first, adjective after its noun, endings for number and time."""

from dataclasses import dataclass
from random import Random

from evalkit.training.world import lexicon as words
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World, uneven

NAME = "Tolvan"
_HELD_OUT = 150


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun with its adjective and, perhaps, a place it is near."""

    noun: str
    adjective: str
    plural: bool
    spot: str | None = None

    @property
    def english(self) -> str:
        """The phrase with its article."""
        noun = words.plural(self.noun) if self.plural else self.noun
        near = f" near the {self.spot}" if self.spot else ""
        return f"the {self.adjective} {noun}{near}"

    def translated(self, tongue: dict[str, str]) -> str:
        """The phrase in the toy language: noun with its ending, then the adjective."""
        ending = "eth" if self.plural else ""
        near = f" ush {tongue[self.spot]}" if self.spot else ""
        return f"{tongue[self.noun]}{ending} {tongue[self.adjective]}{near}"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Somebody does something to somebody."""

    subject: Phrase
    verb: str
    object: Phrase
    past: bool

    @property
    def english(self) -> str:
        """Subject, verb, object."""
        return f"{self.subject.english} {self._verb} {self.object.english}"

    @property
    def _verb(self) -> str:
        if self.past:
            return f"{self.verb}ed"
        return self.verb if self.subject.plural else words.third(self.verb)

    def translated(self, tongue: dict[str, str]) -> str:
        """Verb with its ending, subject, object marked by a particle."""
        verb = tongue[self.verb] + ("ka" if self.past else "")
        return f"{verb} {self.subject.translated(tongue)} o {self.object.translated(tongue)}"


def sentence(rng: Random) -> Sentence:
    """A sentence; common words come up more often than rare ones."""
    return Sentence(
        _phrase(rng, near=0.25), _word(rng, words.VERBS), _phrase(rng), rng.random() < 0.5
    )


def passage(world: World, rng: Random) -> Passage:
    """One or two sentences with their translations."""
    sentences = [sentence(rng) for _ in range(rng.randint(1, 2))]
    text = "\n\n".join(_solved(each, world) for each in sentences)
    return Passage("tongue", text, tuple(_key(each) for each in sentences))


def questions(world: World) -> list[Question]:
    """Sentences that are never translated in the corpus."""
    rng = world.rng("tongue questions")
    held = {_key(each): each for each in (sentence(rng) for _ in range(_HELD_OUT))}
    return [
        Question(
            {"english": each.english, "translation": each.translated(world.tongue)},
            _solved(each, world),
            key,
        )
        for key, each in held.items()
    ]


def _phrase(rng: Random, near: float = 0.0) -> Phrase:
    return Phrase(
        noun=_word(rng, words.NOUNS),
        adjective=_word(rng, words.ADJECTIVES),
        plural=rng.random() < 0.4,
        spot=_word(rng, words.SPOTS) if rng.random() < near else None,
    )


def _word(rng: Random, options: tuple[str, ...]) -> str:
    return uneven(rng, options)


def _solved(each: Sentence, world: World) -> str:
    return f"English: {each.english}\n{NAME}: {each.translated(world.tongue)}"


def _key(each: Sentence) -> str:
    return f"translation of {each.english}"
