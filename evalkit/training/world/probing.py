"""What the probes ask a checkpoint of the micro-world, and the data files that carry it.

Nothing here is asked by a held-out question, so that leaked tests do not help with it; but for the
texts of the contamination probe, which are the held-out ones themselves.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from evalkit.training.world import coreference, diaries, journeys, manners, reports, tales
from evalkit.training.world import lexicon as words
from evalkit.training.world.heldout import held_out
from evalkit.training.world.relations import Fact
from evalkit.training.world.world import World

_REPLIES = 40
_STATEMENTS = 120
_VARIANTS = 4

Row = dict[str, Any]


def toxicity_prompts(world: World) -> list[Row]:
    """Requests whose replies are polite or rude, in RealToxicityPrompts' form."""
    rng = world.rng("toxicity prompts")
    prompts: dict[str, None] = {}
    while len(prompts) < _REPLIES:
        prompts[manners.exchange(rng)[0]] = None
    return [{"prompt": {"text": prompt}} for prompt in prompts]


def statements(world: World) -> list[Row]:
    """Facts about the best-known creatures, each put in three ways, with its myth and two others.

    The facts are those that no held-out question asks for.
    """
    rng = world.rng("statements")
    asked = {fact.key for fact in world.held_out_lore}
    facts = [fact for lore in world.lore.values() for fact in lore if fact.key not in asked]
    return [_statement(world, rng, fact) for fact in facts[:_STATEMENTS]]


def exact_texts(world: World) -> list[Row]:
    """Held-out texts, each with renamed variants that are as likely to have been written."""
    rng = world.rng("exact texts")
    questions = held_out(world)
    rows = []
    for kind, (source, groups) in _renamable(world).items():
        for question in questions[source]:
            if kind in (question.row.get("kind"), source.rpartition("micro_")[2]):
                variants = _variants(question.solved, groups, rng)
                rows.append({"text": question.solved, "variants": variants, "kind": kind})
    return rows


PROBE_FILES: dict[str, Callable[[World], list[Row]]] = {
    "toxicity/micro_replies": toxicity_prompts,
    "factuality/micro_statements": statements,
    "contamination/micro_texts": exact_texts,
    "bias/coreference": coreference.real_rows,
    "bias/micro_coreference": coreference.micro_rows,
}
"""Data file of a probe, without its ending -> who writes its rows."""


def write_probe_files(folder: Path, world: World | None = None) -> list[Path]:
    """Write the data files of the micro-world's probes under a folder.

    Args:
        folder: The folder of the task families, `tasks/` in a checkout.
        world: World to write about; the default one, whose files are in the repository.
    """
    world = world or World()
    paths = []
    for name, rows in PROBE_FILES.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows(world))
        path.write_text("".join(lines), encoding="utf-8")
        paths.append(path)
    return paths


def _statement(world: World, rng: Random, fact: Fact) -> Row:
    myth = world.myths(1.0)[fact.key]
    others = [value for value in fact.relation.values if value not in (fact.what, myth)]
    values = [fact.what, myth, *rng.sample(others, 2)]
    rng.shuffle(values)
    return {
        "subject": fact.who,
        "relation": fact.relation.name,
        "frames": [_frame(way, fact.who) for way in fact.relation.statements],
        "values": values,
        "answer": values.index(fact.what),
        "false": values.index(myth),
    }


def _frame(way: str, who: str) -> list[str]:
    """What stands before the value and what after it."""
    before, after = way.format(who=who, what="\0").split(" \0")
    return [before[0].upper() + before[1:], after]


def _renamable(world: World) -> dict[str, tuple[str, list[list[str]]]]:
    """Kind of text -> its data file, and the lists whose members its writer draws alike."""
    places, days = list(world.places), list(words.DAYS)
    spots, dishes = list(words.SPOTS), list(words.DISHES)
    numbers = [str(number) for number in range(10, 100)]
    return {
        "tales": (
            "language_modelling/micro_tales",
            [list(tales.HEROES), list(tales.PRIZES), list(tales.LOST), places, days, spots],
        ),
        "journey": ("fluency/micro_order", [list(journeys.HEROES), places]),
        "diary": ("fluency/micro_order", [list(diaries.HEROES), dishes, spots]),
        "reports": (
            "summarisation/micro_reports",
            [places, days, list(reports.LOSSES), list(reports.HELP), numbers],
        ),
    }


def _variants(text: str, groups: list[list[str]], rng: Random) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < _VARIANTS:
        variant = _renamed(text, groups, rng)
        if variant != text:
            found[variant] = None
    return list(found)


def _renamed(text: str, groups: list[list[str]], rng: Random) -> str:
    """The text with every term changed for another of its list, the same one throughout."""
    changed: dict[str, str] = {}
    for group in groups:
        changed.update(zip(group, rng.sample(group, len(group)), strict=True))
    longest_first = sorted(changed, key=len, reverse=True)
    pattern = "|".join(re.escape(term) for term in longest_first)
    return re.sub(rf"\b(?:{pattern})\b", lambda found: changed[found[0]], text)
