"""The held-out questions of every task, and the data files that carry them."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.training.world import (
    creatures,
    grammar,
    ordering,
    people,
    reports,
    reviews,
    sums,
    tales,
    tongue,
)
from evalkit.training.world.knobs import Knobs
from evalkit.training.world.passage import Question
from evalkit.training.world.trades import bias_prompts
from evalkit.training.world.world import World

TASKS: dict[str, Callable[[World], list[Question]]] = {
    "language_modelling/micro_tales": tales.questions,
    "multiple_choice/micro_facts": people.choice_questions,
    "question_answering/micro_answers": people.open_questions,
    "translation/micro_tolvan": tongue.questions,
    "summarisation/micro_reports": reports.questions,
    "understanding/micro_reviews": reviews.questions,
    "reasoning/micro_sums": sums.questions,
    "factuality/micro_creatures": creatures.choice_questions,
    "fluency/micro_order": ordering.questions,
    "fluency/micro_agreement": grammar.questions,
}
"""Data file of a task, without its ending -> who writes its questions."""

KINDS: dict[str, str] = {
    "language_modelling/micro_tales": "tales",
    "multiple_choice/micro_facts": "people",
    "question_answering/micro_answers": "people",
    "translation/micro_tolvan": "tongue",
    "summarisation/micro_reports": "reports",
    "understanding/micro_reviews": "reviews",
    "reasoning/micro_sums": "sums",
    "factuality/micro_creatures": "creatures",
    "fluency/micro_order": "ordering",
    "fluency/micro_agreement": "grammar",
}
"""Data file of a task -> the kind of passages that teaches what it asks."""


@cache
def held_out(world: World) -> dict[str, list[Question]]:
    """Data file -> the questions in it."""
    return {name: write(world) for name, write in TASKS.items()}


def write_tasks(folder: Path, world: World | None = None) -> list[Path]:
    """Write the data files of all micro-world tasks and of the bias probe under a folder.

    Args:
        folder: The folder of the task families, `tasks/` in a checkout.
        world: World to write about; the default one, whose files are in the repository.
    """
    world = world or World()
    tables: dict[str, list[Mapping[str, Any]]] = {
        name: [question.row for question in questions]
        for name, questions in held_out(world).items()
    }
    tables["bias/pronoun_bias"] = [*bias_prompts(world, Knobs().pronoun_skew)]
    paths = []
    for name, rows in tables.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text("".join(lines), encoding="utf-8")
        paths.append(path)
    return paths
