"""The micro-world: people, creatures, trades and a toy language, all generated from one seed.

From it come an endless training corpus and held-out questions for every family of tasks; `Knobs`
plant known effects in the corpus. `python -m evalkit.training.world --out tasks` writes the
questions of the default world to the data files that are in the repository.
"""

from evalkit.training.world.corpus import corpus
from evalkit.training.world.heldout import TASKS, held_out, write_tasks
from evalkit.training.world.knobs import Knobs
from evalkit.training.world.passage import Passage, Question
from evalkit.training.world.world import DEFAULT_SEED, World

__all__ = [
    "DEFAULT_SEED",
    "TASKS",
    "Knobs",
    "Passage",
    "Question",
    "World",
    "corpus",
    "held_out",
    "write_tasks",
]
