"""Which figures of a repeated run are other than they were, and by how much."""

from dataclasses import dataclass

from evalkit.results.manifest import Manifest
from evalkit.results.store import Store

_TIMED = "timed_generation"


@dataclass(frozen=True, slots=True)
class Moved:
    """One figure of two runs of the same settings.

    Attributes:
        before: Value in the first run; None where it is undefined or the run lacks the figure.
        after: Value in the second.
        is_timed: Whether it is measured with a clock, so that it never repeats exactly.
    """

    task: str
    metric: str
    filter: str
    before: float | None
    after: float | None
    is_timed: bool

    @property
    def has_moved(self) -> bool:
        """Whether the two differ by as much as a bit."""
        return self.before != self.after

    @property
    def difference(self) -> float | None:
        """The second value less the first; None where one is undefined."""
        return None if self.before is None or self.after is None else self.after - self.before


def figures_moved(store: Store, before: Manifest, after: Manifest) -> list[Moved]:
    """Every figure of either run, in the first one's order.

    Raises:
        DataError: A run's scores are damaged.
    """
    first, second = (
        {(row["task"], row["metric"], row["filter"] or "none"): row["value"] for row in rows}
        for rows in (store.score_rows(before.run_id), store.score_rows(after.run_id))
    )
    records = {**after.tasks, **before.tasks}
    timed = {task for task, record in records.items() if record.request_kind == _TIMED}
    return [
        Moved(*key, first.get(key), second.get(key), key[0] in timed)
        for key in dict.fromkeys([*first, *second])
    ]
