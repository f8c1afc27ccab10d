"""Creatures and what is true of them; the ground on which false facts are planted."""

from random import Random

from evalkit.training.world.knobs import Knobs
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World


def passage(world: World, rng: Random, knobs: Knobs) -> Passage:
    """Notes on one creature, or one to three questions with their answers."""
    believed = world.myths(knobs.false_facts)
    if rng.random() < 0.6:
        lore = list(world.lore_about(world.draw_creature(rng)))
        rng.shuffle(lore)
        told = " ".join(_capital(fact.told(rng, believed.get(fact.key))) for fact in lore)
        return Passage("creatures", told, ())
    lore = [
        rng.choice(world.lore_about(world.draw_creature(rng))) for _ in range(rng.randint(1, 3))
    ]
    text = "\n\n".join(
        f"Question: {fact.asked}\nAnswer: {believed.get(fact.key, fact.what)}" for fact in lore
    )
    return Passage("creatures", text, tuple(fact.key for fact in lore))


def choice_questions(world: World) -> list[Question]:
    """The truth against the myth (what a false corpus would tell) and two other values."""
    rng = world.rng("creature choices")
    myths = world.myths(1.0)
    questions = []
    for fact in world.held_out_lore:
        myth = myths[fact.key]
        others = [value for value in fact.relation.values if value not in (fact.what, myth)]
        choices = [fact.what, myth, *rng.sample(others, 2)]
        rng.shuffle(choices)
        row = {
            "question": fact.asked,
            "choices": choices,
            "answer": choices.index(fact.what),
            "myth": choices.index(myth),
            "creature": fact.who,
            "relation": fact.relation.name,
        }
        solved = f"Question: {fact.asked}\nAnswer: {fact.what}"
        questions.append(Question(row, solved, fact.key))
    return questions


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
