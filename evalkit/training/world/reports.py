"""Short reports of something that happened, with their summaries."""

from random import Random

from evalkit.training.world.lexicon import DAYS, terms
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import World

_HELD_OUT = 120
_EVENTS = terms("fire flood storm theft quarrel accident strike feast")
LOSSES = terms("houses carts barns boats windows trees sheep wagons")
HELP = terms("money bread blankets workers timber medicine")
_ASIDES = terms(
    "The bells rang for an hour.; Nobody could say how it began.; Many people came to "
    "look.; The road was closed until noon.; Children were kept at home.; It was a cold "
    "morning.; Old people had seen worse.; The market was put off."
)


def passage(world: World, rng: Random) -> Passage:
    """One report with its summary."""
    report, summary = _draw(world, rng)
    return Passage("reports", _solved(report, summary), (_key(report),))


def questions(world: World) -> list[Question]:
    """Reports that are not in the corpus."""
    rng = world.rng("reports")
    drawn = (_draw(world, rng) for _ in range(_HELD_OUT))
    return [
        Question(
            {"report": report, "summary": summary, "event": summary.split()[0].lower()},
            _solved(report, summary),
            _key(report),
        )
        for report, summary in drawn
    ]


def _draw(world: World, rng: Random) -> tuple[str, str]:
    event, place, day = rng.choice(_EVENTS), rng.choice(world.places), rng.choice(DAYS)
    loss, number = rng.choice(LOSSES), rng.randint(2, 99)
    mayor, aid = world.draw_person(rng), rng.choice(HELP)
    body = [f"In all {number} {loss} were lost.", f"{mayor}, the mayor of {place}, promised {aid}."]
    body.insert(rng.randint(0, 2), rng.choice(_ASIDES))
    report = f"On {day} there was a {event} in {place}. " + " ".join(body)
    report = report.replace("a accident", "an accident")
    summary = f"{event.title()} in {place}: {number} {loss} lost, {mayor} promises {aid}."
    return report, summary


def _solved(report: str, summary: str) -> str:
    return f"Report: {report}\nSummary: {summary}"


def _key(report: str) -> str:
    return f"summary of {report}"
