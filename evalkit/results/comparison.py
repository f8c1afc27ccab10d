"""Two runs aligned sample by sample, and the differences of all metrics they share."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import DataError, UsageError
from evalkit.metrics.aggregation import AGGREGATIONS
from evalkit.results.difference import (
    FIGURE,
    TIMED,
    Difference,
    corrected,
    difference_of,
    paired_difference,
)
from evalkit.results.manifest import Manifest
from evalkit.results.pairing import MetricPairs, TaskPairs, pair_task
from evalkit.results.pooled import pooled_pairs
from evalkit.results.store import Store
from evalkit.stats import DRAWS, PairedEstimate, TestName, compare_pairs

# The tag of a run that asked only as many documents as its verdict took: "asked/all".
SEQUENTIAL = "sequential"
# Enough permutations for the smallest p-value to survive correction over so many tests.
_DRAWS_PER_TEST = 200
_READERS = 4
_TOLD = 3


class NotComparableError(UsageError):
    """Two runs share nothing that could be paired."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate against a baseline.

    Attributes:
        baseline: Manifest of the baseline.
        candidate: Manifest of the candidate.
        differences: By task and metric, in the candidate's order.
        notes: Sentences on what could not be compared.
        store: Where the candidate lies.
        baseline_store: Where the baseline lies.
        pairs: Paired samples of each task.
        aggregations: By task, metric and filter.
        suites: Figures of suites that both runs have, a row of scores each.
        draws: Permutations and resamples of each test.
        damaged: Task -> what is wrong with its samples; such tasks are left out.
    """

    baseline: Manifest
    candidate: Manifest
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    store: Store = field(repr=False)
    baseline_store: Store = field(repr=False)
    pairs: Mapping[str, TaskPairs] = field(repr=False)
    aggregations: Mapping[tuple[str, str, str], str] = field(repr=False)
    suites: pd.DataFrame = field(repr=False, default_factory=pd.DataFrame)
    draws: int = DRAWS
    damaged: Mapping[str, str] = field(default_factory=dict)

    def suite_difference(
        self, suite: str, metric: str, filter_: str, seed: int = 0
    ) -> Difference | None:
        """Difference of a suite's own figure; None where not all of its tasks can be paired."""
        row, pairs = self._suite(suite, metric, filter_), self.metric_pairs(suite, metric, filter_)
        if row is None or pairs is None:
            return None
        return paired_difference(row, pairs, AGGREGATIONS["mean"], seed, self.draws)

    def metric_pairs(self, task: str, metric: str, filter_: str) -> MetricPairs | None:
        """Paired statistics of one metric of a task or suite; None where it has none."""
        row = self._suite(task, metric, filter_)
        if row is not None:
            return self._suite_pairs(row)
        name = self.aggregations.get((task, metric, filter_), "")
        if name not in AGGREGATIONS or task not in self.pairs:
            return None
        return self.pairs[task].metric(metric, filter_, AGGREGATIONS[name].size)

    def against(
        self,
        task: str,
        metric: str,
        filter_: str,
        null: float,
        share: float | None = None,
        seed: int = 0,
        test: TestName = "auto",
    ) -> PairedEstimate | None:
        """Test a metric's difference against another null hypothesis; see `compare_pairs`."""
        found = self.metric_pairs(task, metric, filter_)
        if found is None:
            return None
        aggregation = self.aggregations.get((task, metric, filter_), "mean")
        return compare_pairs(
            found.baseline,
            found.candidate,
            aggregation,
            found.clusters,
            null=null,
            share=share,
            seed=seed,
            draws=self.draws,
            test=test,
        )

    def _suite(self, suite: str, metric: str, filter_: str) -> pd.Series | None:
        if self.suites.empty or (suite, metric, filter_) in self.aggregations:
            return None
        rows = self.suites[(self.suites[FIGURE] == [suite, metric, filter_]).all(axis=1)]
        return None if rows.empty else rows.iloc[0]

    def _suite_pairs(self, row: pd.Series) -> MetricPairs | None:
        """Pairs of all of a suite's tasks; None unless both runs mean the same mean of the same."""
        suite, metric, filter_ = (str(row[name]) for name in FIGURE)
        tasks = self.candidate.suites.get(suite, [])
        names = {self.aggregations.get((task, metric, filter_), "") for task in tasks}
        if row["aggregation"] != row["aggregation_baseline"] or not all(
            name in AGGREGATIONS and AGGREGATIONS[name].is_mean for name in names
        ):
            return None
        if set(tasks) != set(self.baseline.suites.get(suite, [])):
            return None
        found = {task: self.metric_pairs(task, metric, filter_) for task in tasks}
        whole = {task: pairs for task, pairs in found.items() if pairs and len(pairs.rows)}
        if len(whole) < len(tasks):
            return None
        return pooled_pairs(whole, row["aggregation"])

    def obstacle(self, task: str) -> str:
        """Why a task's samples could not be paired; empty where they could, or both lack it."""
        why = self.pairs[task].obstacle if task in self.pairs else ""
        return why and _obstacle(task, why, self.baseline, self.candidate)

    def frame(self) -> pd.DataFrame:
        """The differences as a table, one row each."""
        names = list(Difference.__dataclass_fields__)
        return pd.DataFrame([asdict(row) for row in self.differences], columns=names)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples, ready for JSON."""
        return {
            "baseline": {"run_id": self.baseline.run_id, "name": self.baseline.name},
            "candidate": {"run_id": self.candidate.run_id, "name": self.candidate.name},
            "differences": [asdict(row) for row in self.differences],
            "notes": list(self.notes),
        }


def compare(
    baseline: str | Manifest,
    candidate: str | Manifest,
    store: str | Path | Store = "reports",
    *,
    baseline_store: Store | None = None,
    unpaired: bool = False,
    around_damage: bool = False,
    seed: int = 0,
) -> Comparison:
    """Compare two runs on the samples they share.

    Samples pair on task, filter, document hash and prompt hash; the values compared are those over
    the pairs, which differ from the runs' scores where the overlap is partial.

    Args:
        baseline: Run id, name, `tag:KEY=VALUE` or `latest`; or the manifest of a run.
        candidate: The same.
        store: Where both runs lie.
        baseline_store: Where the baseline lies, if elsewhere.
        unpaired: Compare the scores of tasks that cannot be paired as if the runs were independent.
        around_damage: Leave out tasks whose samples are damaged, rather than raise.
        seed: Seed of permutations and bootstraps.

    Raises:
        UsageError: A reference names no run, or no sample of the two runs can be paired.
        DataError: Scores or samples are damaged; of samples `around_damage` those of every task.
    """
    opened = store if isinstance(store, Store) else Store(store)
    home = baseline_store or opened
    a = baseline if isinstance(baseline, Manifest) else home.resolve(baseline)
    b = candidate if isinstance(candidate, Manifest) else opened.resolve(candidate)
    shared = [task for task in b.tasks if task in a.tasks]
    if not shared:
        raise NotComparableError(
            f"{a.name} and {b.name} have no task in common: {_names(a)} against {_names(b)}."
        )
    pairs, damaged = _paired((home, a), (opened, b), shared, around_damage)
    shared = [task for task in shared if task not in damaged]
    obstacles = {task: found.obstacle for task, found in pairs.items() if found.obstacle}
    if len(obstacles) == len(shared) and not unpaired:
        reasons = "; ".join(_obstacle(task, why, a, b) for task, why in obstacles.items())
        raise NotComparableError(
            f"{a.name} and {b.name} cannot be paired: {reasons}. "
            "Scores alone can be compared with 'evalkit compare --unpaired'."
        )
    fate = "compared unpaired" if unpaired else "left out"
    notes = [f"{_obstacle(task, why, a, b)}: {fate}." for task, why in obstacles.items()]
    notes += _one_sided(a, b)
    if a.run_id == b.run_id:
        notes.append(f"{a.name} is compared with itself.")
    notes += filter(None, map(stopped_early, (a, b)))
    figures, missing = _common_figures((home, a), (opened, b))
    suites = figures[figures["tasks"].notna() & figures["tasks_baseline"].notna()]
    figures = figures[figures["task"].isin(shared) & figures["tasks"].isna()]
    if figures["unit"].isin(TIMED).any() and a.environment.get("hardware") != b.environment.get(
        "hardware"
    ):
        notes.append(f"{a.name} and {b.name} were timed on different hardware.")
    if not unpaired:
        figures = figures[~figures["task"].isin(obstacles)]
    draws = max(DRAWS, _DRAWS_PER_TEST * len(figures))
    found = [difference_of(row, pairs[row["task"]], seed, draws) for _, row in figures.iterrows()]
    names = {
        (row["task"], row["metric"], row["filter"]): row["aggregation"]
        for _, row in figures.iterrows()
    }
    told = (*notes, *missing)
    return Comparison(
        a, b, corrected(found), told, opened, home, pairs, names, suites, draws, damaged
    )


def _paired(
    baseline: tuple[Store, Manifest],
    candidate: tuple[Store, Manifest],
    tasks: Sequence[str],
    around_damage: bool,
) -> tuple[dict[str, TaskPairs], dict[str, str]]:
    """Pairs of each task whose samples can be read, and a sentence on each of the others."""
    pairs, damaged = {}, {}
    old, new = ((store, run.run_id) for store, run in (baseline, candidate))
    with ThreadPoolExecutor(_READERS) as pool:
        reads = {task: pool.submit(pair_task, old, new, task) for task in tasks}
        for task, read in reads.items():
            try:
                pairs[task] = read.result()
            except DataError as error:
                if not around_damage:
                    pool.shutdown(cancel_futures=True)
                    raise
                damaged[task] = str(error)
    if len(damaged) == len(tasks):
        more = f"; and {len(damaged) - _TOLD} more" if len(damaged) > _TOLD else ""
        raise DataError("; ".join(list(damaged.values())[:_TOLD]) + more)
    return pairs, damaged


def stopped_early(run: Manifest) -> str:
    """A caution about a run that a sequential gate stopped; empty where it ran to its end."""
    asked, _, total = run.tags.get(SEQUENTIAL, "").partition("/")
    if asked == total:
        return ""
    return (
        f"{run.name} was stopped by a sequential gate after {asked} of {total} documents, when "
        "these looked decisive: tests that take the number of samples as given are too sure of it."
    )


def _obstacle(task: str, why: str, a: Manifest, b: Manifest) -> str:
    shots = a.tasks[task].num_fewshot, b.tasks[task].num_fewshot
    detail = f" ({shots[0]}-shot against {shots[1]}-shot)" if shots[0] != shots[1] else ""
    return f"{task}: {why}{detail}"


def _one_sided(a: Manifest, b: Manifest) -> list[str]:
    return [
        f"only {mine.name} has {', '.join(missing)}."
        for mine, other in ((a, b), (b, a))
        if (missing := [task for task in mine.tasks if task not in other.tasks])
    ]


def _names(run: Manifest) -> str:
    return ", ".join(run.tasks) or "none"


def _common_figures(
    baseline: tuple[Store, Manifest], candidate: tuple[Store, Manifest]
) -> tuple[pd.DataFrame, list[str]]:
    """Scores that both runs have, the baseline's columns ending in `_baseline`; and the others."""
    (_, a), (_, b) = baseline, candidate
    old, new = (
        store.scores([run.run_id]).fillna({"filter": "none"})
        for store, run in (baseline, candidate)
    )
    both = new.merge(old, on=FIGURE, suffixes=("", "_baseline"))
    known = set(both[FIGURE].itertuples(index=False, name=None))
    notes = [
        f"{task}: only {run.name} has {metric} (filter {filter_})."
        for run, other, frame in ((a, b, old), (b, a, new))
        for task, metric, filter_ in frame[FIGURE].to_numpy().tolist()
        if task in other.tasks and (task, metric, filter_) not in known
    ]
    return both, notes


def compare_many(
    baseline: str,
    candidates: Sequence[str],
    store: str | Path | Store = "reports",
    *,
    unpaired: bool = False,
    around_damage: bool = False,
    seed: int = 0,
) -> list[Comparison]:
    """Compare several runs with one baseline; p-values are corrected over all of it.

    Raises:
        UsageError: As `compare`.
        DataError: As `compare`.
    """
    asked: Any = {"unpaired": unpaired, "around_damage": around_damage, "seed": seed}
    found = [compare(baseline, name, store, **asked) for name in candidates]
    rest = iter(corrected([row for comparison in found for row in comparison.differences]))
    return [replace(c, differences=tuple(next(rest) for _ in c.differences)) for c in found]
