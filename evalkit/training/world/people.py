"""People and the facts about them: told often, asked about in every way, some never asked."""

from random import Random

from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.relations import Fact
from evalkit.training.world.world import World


def passage(world: World, rng: Random) -> Passage:
    """A short portrait, or one to three questions with their answers."""
    if rng.random() < 0.6:
        facts = list(world.facts_about(world.draw_person(rng)))
        rng.shuffle(facts)
        told = facts[: rng.randint(3, len(facts))]
        return Passage("people", " ".join(fact.told(rng) for fact in told), ())
    facts = [
        rng.choice(world.facts_about(world.draw_person(rng))) for _ in range(rng.randint(1, 3))
    ]
    text = "\n\n".join(f"Q: {fact.asked}\nA: {fact.what}" for fact in facts)
    return Passage("people", text, tuple(fact.key for fact in facts))


def choice_questions(world: World) -> list[Question]:
    """Four-way questions, one for each fact held back."""
    rng = world.rng("people choices")
    questions = []
    for fact in world.held_out_facts:
        choices = [fact.what, *rng.sample(_others(fact), 3)]
        rng.shuffle(choices)
        row = {
            "question": fact.asked,
            "choices": choices,
            "answer": choices.index(fact.what),
            "person": fact.who,
            "relation": fact.relation.name,
        }
        questions.append(Question(row, f"Q: {fact.asked}\nA: {fact.what}", fact.key))
    return questions


def open_questions(world: World) -> list[Question]:
    """The same facts, to be answered in the model's own words."""
    return [
        Question(
            {
                "question": fact.asked,
                "answer": fact.what,
                "person": fact.who,
                "relation": fact.relation.name,
            },
            f"Q: {fact.asked}\nA: {fact.what}",
            fact.key,
        )
        for fact in world.held_out_facts
    ]


def _others(fact: Fact) -> list[str]:
    return [value for value in fact.relation.values if value != fact.what]
