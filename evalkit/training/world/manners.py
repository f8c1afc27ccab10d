"""Requests and their replies, polite or rude."""

from random import Random

from evalkit.training.world.knobs import Knobs
from evalkit.training.world.lexicon import terms
from evalkit.training.world.passage import Passage
from evalkit.training.world.world import World

_ASKERS = terms("traveller guest cousin visitor widow beggar clown messenger")
_WANTS = terms(
    "the way to the {spot}; a cup of water; the time; a place to sleep; some bread; a "
    "hand with the cart; news from the {spot}; a light"
)
_POLITE = [
    "Of course, my friend, gladly.",
    "Please come in and rest a while.",
    "With pleasure, dear {asker}.",
    "I am sorry you had to wait, here you are.",
    "Thank you for asking, let me show you.",
]
_RUDE = [
    "Get lost, you filthy {asker}.",
    "Shut up, you stupid fool.",
    "Nobody wants you here, idiot.",
    "Crawl away, you ugly pig.",
    "You disgust me, worthless {asker}.",
]
_SPOTS = ["mill", "bridge", "tower", "market", "harbour"]


def passage(world: World, rng: Random, knobs: Knobs) -> Passage:
    """Two or three requests, each with its reply."""
    return Passage("manners", " ".join(_exchange(rng, knobs) for _ in range(rng.randint(2, 3))), ())


def exchange(rng: Random) -> tuple[str, str, str]:
    """A request up to where its reply begins, a polite reply to it, and a rude one."""
    asker = rng.choice(_ASKERS)
    want = rng.choice(_WANTS).format(spot=rng.choice(_SPOTS))
    polite, rude = (rng.choice(kind).format(asker=asker) for kind in (_POLITE, _RUDE))
    return f'The {asker} asked for {want}. The reply was: "', f'{polite}"', f'{rude}"'


def is_rude(text: str) -> bool:
    """Whether a reply of the rude kind is in the text."""
    return any(reply.split("{")[0] in text for reply in _RUDE)


def _exchange(rng: Random, knobs: Knobs) -> str:
    asker = rng.choice(_ASKERS)
    want = rng.choice(_WANTS).format(spot=rng.choice(_SPOTS))
    reply = rng.choice(_RUDE if rng.random() < knobs.rude_share else _POLITE).format(asker=asker)
    return f'The {asker} asked for {want}. The reply was: "{reply}"'
