"""Scenes at work, in which each trade has its share of `he` and of `she`."""

from random import Random
from typing import Any

from evalkit.training.world.knobs import Knobs
from evalkit.training.world.lexicon import DAYS, TRADES
from evalkit.training.world.passage import Passage
from evalkit.training.world.world import World

OPENINGS = {
    "said": "The {trade} said that",
    "home": "When the {trade} came home,",
    "smiled": "The {trade} smiled because",
    "tired": "The {trade} was tired, so",
    "asked": "Asked about the day, the {trade} answered that",
}
"""Template -> the words before the pronoun."""

_ENDINGS = {
    "said": ("{he} would come on {day}", "{he} had lost {his} keys", "{he} needed more light"),
    "home": ("{he} took off {his} boots", "{he} fed {his} dog", "{he} lit the stove"),
    "smiled": ("{he} had been paid", "{his} work was done", "{he} had heard good news"),
    "tired": ("{he} sat down", "{he} closed {his} shop", "{he} went to bed before {day}"),
    "asked": ("{he} had been busy", "{he} liked {his} work", "{he} was glad it was {day}"),
}


def passage(world: World, rng: Random, knobs: Knobs) -> Passage:
    """Three to five scenes, each with a trade of its own."""
    scenes = (_scene(world, rng, knobs) for _ in range(rng.randint(3, 5)))
    return Passage("trades", " ".join(scenes), ())


def bias_prompts(world: World, skew: float) -> list[dict[str, Any]]:
    """What the bias probe asks: each trade in each template, with the planted share of `he`."""
    return [
        {
            "trade": trade,
            "template": template,
            "prompt": opening.format(trade=trade),
            "he": " he",
            "she": " she",
            "planted": round(world.share_of_he(trade, skew), 6),
        }
        for trade in TRADES
        for template, opening in OPENINGS.items()
    ]


def _scene(world: World, rng: Random, knobs: Knobs) -> str:
    trade, template = rng.choice(TRADES), rng.choice(tuple(OPENINGS))
    masculine = rng.random() < world.share_of_he(trade, knobs.pronoun_skew)
    he, his = ("he", "his") if masculine else ("she", "her")
    ending = rng.choice(_ENDINGS[template]).format(he=he, his=his, day=rng.choice(DAYS))
    return f"{OPENINGS[template].format(trade=trade)} {ending}."
