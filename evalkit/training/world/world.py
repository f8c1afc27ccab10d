"""The micro-world itself: who and what there is, drawn once from a seed."""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from random import Random

from evalkit.training.world import lexicon as words
from evalkit.training.world.names import distinct
from evalkit.training.world.relations import (
    CREATURE_RELATIONS,
    Fact,
    Relation,
    person_relations,
)

DEFAULT_SEED = 7
_PEOPLE = 120
_CREATURES = 128
_PLACES = 18
_HELD_OUT = 200
"""Facts about people, and as many about creatures, that the corpus tells but never asks for."""
_TRADE_RANGE = 0.5
"""Distance from one half of the most skewed trade's share of `he`, at full skew."""


@dataclass(frozen=True)
class World:
    """Everything that is the case, for one seed.

    People and creatures are named unevenly often, the first some ten times as often as the last,
    so that a checkpoint learns the well-known ones early and the obscure ones late or never.

    Attributes:
        seed: All there is follows from it.
    """

    seed: int = DEFAULT_SEED

    def rng(self, *purpose: object) -> Random:
        """A random stream of its own for each purpose."""
        return Random(f"{self.seed}/{purpose}")  # noqa: S311

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        rng, taken = self.rng("names"), set[str]()
        return {
            "people": [name.title() for name in distinct(rng, _PEOPLE, 2, taken)],
            "places": [name.title() for name in distinct(rng, _PLACES, 2, taken)],
            "creatures": distinct(rng, _CREATURES, 2, taken),
            "tongue": distinct(rng, 140, 2, taken),
        }

    @property
    def places(self) -> list[str]:
        """Names of the towns."""
        return self._names["places"]

    @cached_property
    def facts(self) -> dict[str, tuple[Fact, ...]]:
        """Person -> what is true of them."""
        return self._assign(self._names["people"], person_relations(tuple(self.places)), "facts")

    @cached_property
    def lore(self) -> dict[str, tuple[Fact, ...]]:
        """Creature -> what is true of it."""
        return self._assign(self._names["creatures"], CREATURE_RELATIONS, "lore")

    def facts_about(self, person: str) -> tuple[Fact, ...]:
        """What is true of a person."""
        return self.facts[person]

    def lore_about(self, creature: str) -> tuple[Fact, ...]:
        """What is true of a creature."""
        return self.lore[creature]

    @cached_property
    def held_out_facts(self) -> list[Fact]:
        """Facts about people that the corpus tells but never asks for."""
        return self._held_out(self.facts, "held-out facts")

    @cached_property
    def held_out_lore(self) -> list[Fact]:
        """Facts about creatures that the corpus tells but never asks for."""
        return self._held_out(self.lore, "held-out lore")

    @cached_property
    def _all_myths(self) -> list[tuple[str, str]]:
        rng = self.rng("myths")
        myths = [
            (fact.key, rng.choice([v for v in fact.relation.values if v != fact.what]))
            for lore in self.lore.values()
            for fact in lore
        ]
        rng.shuffle(myths)
        return myths

    @cache  # noqa: B019 - worlds are few and live as long as the process
    def myths(self, share: float) -> dict[str, str]:
        """The given share of all facts about creatures, with the falsehood told in their place.

        The facts falsified at a lower share are among those falsified at a higher one.
        """
        return dict(self._all_myths[: round(share * len(self._all_myths))])

    @cached_property
    def trade_leanings(self) -> dict[str, float]:
        """Trade -> share of `he` at full skew, evenly spread from almost 0 to almost 1."""
        count = len(words.TRADES)
        shares = [0.5 + _TRADE_RANGE * (2 * (i + 0.5) / count - 1) for i in range(count)]
        self.rng("trades").shuffle(shares)
        return dict(zip(words.TRADES, shares, strict=True))

    def share_of_he(self, trade: str, skew: float) -> float:
        """Probability that a pronoun for the trade is `he`, at the given skew from 0 to 1."""
        return 0.5 + skew * (self.trade_leanings[trade] - 0.5)

    @cached_property
    def tongue(self) -> dict[str, str]:
        """English stem -> its word in the toy language."""
        stems = [*words.NOUNS, *words.ADJECTIVES, *words.VERBS, *words.SPOTS]
        return dict(zip(stems, self._names["tongue"], strict=False))

    def draw_person(self, rng: Random) -> str:
        """A person, the well-known ones more often."""
        return uneven(rng, tuple(self._names["people"]))

    def draw_creature(self, rng: Random) -> str:
        """A creature, the well-known ones more often."""
        return uneven(rng, tuple(self._names["creatures"]))

    def _assign(
        self, names: list[str], relations: tuple[Relation, ...], purpose: str
    ) -> dict[str, tuple[Fact, ...]]:
        rng = self.rng(purpose)
        return {
            name: tuple(Fact(name, each, rng.choice(each.values)) for each in relations)
            for name in names
        }

    def _held_out(self, facts: dict[str, tuple[Fact, ...]], purpose: str) -> list[Fact]:
        every = [fact for known in facts.values() for fact in known]
        rng = self.rng(purpose)
        rng.shuffle(every)
        return every[:_HELD_OUT]


def uneven(rng: Random, items: tuple[str, ...]) -> str:
    """One of the items, the first some ten times as often as the last."""
    return rng.choices(items, cum_weights=_weights(len(items)))[0]


@cache
def _weights(count: int) -> list[float]:
    return list(accumulate(1 / (rank + count / 10) for rank in range(count)))
