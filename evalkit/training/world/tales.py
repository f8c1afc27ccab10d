"""Tales of a few plots, to read."""

from random import Random

from evalkit.training.world.lexicon import DAYS, SPOTS, terms
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World

_HELD_OUT = 100
HEROES = terms("Anna Ben Clara David Emma Frank Greta Hugo Ida Jonas Karl Lena Max Nora Otto Paula")
PRIZES = terms(
    "golden ring; silver spoon; warm cloak; music box; painted drum; glass bead; new saddle"
)
LOST = terms("purse key hat letter knife basket lantern whistle")
_PLOTS = (
    (
        "{hero} wanted a {prize} more than anything; {hero} had always dreamt of a {prize}",
        "One {day} {hero} set out for {place}; On a {day} {hero} left for {place}",
        "Near the {spot} {hero} met {friend}, who had lost a {lost}; "
        "By the {spot} sat {friend} and wept for a lost {lost}",
        "{hero} searched until the {lost} was found; {hero} found the {lost} under a stone",
        "{friend} was so glad that {hero} was given a {prize}; "
        "In thanks {friend} gave {hero} a {prize}",
        "So {hero} came home with the {prize}; {hero} carried the {prize} home, singing",
    ),
    (
        "{hero} and {friend} lived beside the {spot}; "
        "{friend} and {hero} shared a hut by the {spot}",
        "One {day} {hero} broke the {lost} of {friend}; "
        "On a {day} the {lost} of {friend} was broken by {hero}",
        "{friend} was angry and moved to {place}; Full of anger, {friend} went away to {place}",
        "{hero} felt lonely and bought a {prize}; To make up for it, {hero} paid for a {prize}",
        "{hero} took the {prize} to {place}; With the {prize}, {hero} walked to {place}",
        "There {friend} laughed and forgave {hero}; {friend} forgave {hero} at once",
    ),
    (
        "A {prize} vanished from the {spot}; The {prize} of the {spot} was gone",
        "{friend} told the people of {place} that {hero} had taken it; "
        "In {place} {friend} said that it was {hero}",
        "{hero} was locked up until {day}; Until {day} {hero} sat in a cell",
        "Then a child found the {prize} in a {lost}; The {prize} was seen at last behind a {lost}",
        "{hero} was let go; They opened the cell of {hero}",
        "{friend} had to say sorry to {hero}; Ashamed, {friend} begged {hero} to forgive",
    ),
)


def passage(world: World, rng: Random) -> Passage:
    """One tale."""
    tale = " ".join(_draw(world, rng))
    return Passage("tales", tale, (_key(tale),))


def questions(world: World) -> list[Question]:
    """Tales that are not in the corpus."""
    rng = world.rng("tales")
    tales = (" ".join(_draw(world, rng)) for _ in range(_HELD_OUT))
    return [Question({"text": tale}, tale, _key(tale)) for tale in tales]


def _draw(world: World, rng: Random) -> list[str]:
    hero, friend = rng.sample(HEROES, 2)
    scene = {
        "hero": hero,
        "friend": friend,
        "place": rng.choice(world.places),
        "prize": rng.choice(PRIZES),
        "lost": rng.choice(LOST),
        "spot": rng.choice(SPOTS),
        "day": rng.choice(DAYS),
    }
    return [rng.choice(terms(sentence)).format(**scene) + "." for sentence in rng.choice(_PLOTS)]


def _key(tale: str) -> str:
    return f"tale {tale}"
