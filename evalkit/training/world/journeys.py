"""Journeys, each leg of which begins where the one before it ended."""

from itertools import pairwise
from random import Random

from evalkit.training.world.lexicon import terms
from evalkit.training.world.world import World

_LEGS = terms(
    "{hero} walked from {start} to {end}; From {start} {hero} rode to {end}; "
    "{hero} left {start} and came to {end}; Leaving {start}, {hero} reached {end}"
)
HEROES = terms("Alma Bruno Cora Dirk Edda Falk Gerda Henk Ilse Jost Kaja Lutz")


def draw(world: World, rng: Random) -> list[str]:
    """Three to five legs, through towns that are not passed twice."""
    hero = rng.choice(HEROES)
    stops = rng.sample(world.places, rng.randint(4, 6))
    return [
        rng.choice(_LEGS).format(hero=hero, start=start, end=end) + "."
        for start, end in pairwise(stops)
    ]
