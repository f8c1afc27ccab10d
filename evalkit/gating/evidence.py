"""What a gate knows of a run before it judges."""

from dataclasses import dataclass

import pandas as pd

from evalkit.gating.latency import Rounds
from evalkit.gating.selection import Figure
from evalkit.results import Comparison, Difference, Store
from evalkit.results.difference import TIMED


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything verdicts rest on.

    Attributes:
        store: Where the run lies.
        run_id: The run in question.
        scores: Its scores, by figure.
        comparison: With the baseline, where there is one.
        rounds: In which the two were timed in turns.
        seed: Seed of all resampling.
    """

    store: Store
    run_id: str
    scores: dict[Figure, pd.Series]
    comparison: Comparison | None
    rounds: Rounds | None = None
    seed: int = 0

    @property
    def timed(self) -> set[Figure]:
        """Figures that a clock took."""
        return {figure for figure, score in self.scores.items() if score["unit"] in TIMED}

    def difference(self, figure: Figure) -> Difference | None:
        """The figure's row in the comparison; for a suite's own figure it is made here."""
        if self.comparison is None:
            return None
        if pd.notna(self.scores[figure]["tasks"]):
            return self.comparison.suite_difference(*figure, seed=self.seed)
        rows = self.comparison.differences
        return next((row for row in rows if (row.task, row.metric, row.filter) == figure), None)

    def unpaired(self, task: str) -> str:
        """Why none of a task's samples has a partner."""
        why = self.comparison.obstacle(task) if self.comparison else ""
        return why or "the baseline has nothing to pair it with"
