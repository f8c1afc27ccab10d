"""Diaries of a day, told in the order in which days usually go."""

from random import Random

from evalkit.training.world.lexicon import DISHES, SPOTS, terms
from evalkit.training.world.world import World

_COURSE = terms(
    "{hero} got up at dawn; {hero} washed at the well; {hero} had {dish} for breakfast; "
    "{hero} swept the floor; {hero} walked to the {spot}; {hero} met a friend at the {spot}; "
    "{hero} had {dish} at noon; {hero} slept for an hour; {hero} wrote a letter; "
    "{hero} lit the lamps; {hero} had {dish} for supper; {hero} locked the door; "
    "{hero} went to bed"
)
HEROES = terms("Anton Berta Carl Doris Emil Flora Georg Hanna Ivo Jutta Kurt Linda")
_STRAYING = 1.3
"""Deviation of an entry from its usual place, in places: the order is a habit, not a law."""


def draw(world: World, rng: Random) -> list[str]:
    """Four to six entries of one person's day."""
    hero = rng.choice(HEROES)
    places = [(rng.gauss(place, _STRAYING), entry) for place, entry in enumerate(_COURSE)]
    chosen = rng.sample(places, rng.randint(4, 6))
    return [
        entry.format(hero=hero, dish=rng.choice(DISHES), spot=rng.choice(SPOTS)) + "."
        for _, entry in sorted(chosen)
    ]
