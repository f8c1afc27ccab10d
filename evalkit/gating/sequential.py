"""The sequential gate: ask documents in random order, in rounds, until every rule is decided.

The level is split. Two fifths go to tests that may be looked at after every round (see
`evalkit.stats.sequential`), shared evenly by the questions; the rest is left for the ordinary tests
of what is still open when all documents have been asked.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evalkit.errors import UsageError
from evalkit.gating.config import Defaults, GateConfig
from evalkit.gating.decide import Settled
from evalkit.gating.looks import Look, look
from evalkit.gating.reference import Reference
from evalkit.gating.selection import Directions, Question, default_rules, questions
from evalkit.results import Manifest
from evalkit.results.comparison import SEQUENTIAL
from evalkit.results.difference import TIMED
from evalkit.settings import RunSettings
from evalkit.stats.sequential import Side
from evalkit.types import Document, Sample, digest

if TYPE_CHECKING:
    from evalkit.runner.plan import Plan, PlannedTask

EARLY_SHARE = 0.4
ROUND_SHARE = 0.03
LEAST_ROUND = 6


@dataclass
class _Queue:
    """A task's documents in the order they are asked, whole families at a time."""

    planned: "PlannedTask"
    units: list[list[Document]]
    asked: list[Document] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    next: int = 0

    @property
    def empty(self) -> bool:
        """Whether all documents were asked."""
        return self.next == len(self.units)

    def take(self) -> list[Document]:
        """The documents of the next round."""
        wanted = max(LEAST_ROUND, math.ceil(ROUND_SHARE * len(self.planned.documents)))
        taken: list[Document] = []
        while len(taken) < wanted and self.next < len(self.units):
            taken += self.units[self.next]
            self.next += 1
        return taken


def measure_sequentially(
    settings: RunSettings, config: GateConfig, reference: Reference, seed: int
) -> tuple[Manifest, Settled]:
    """Run only the documents it takes to decide every rule, and write them as a run.

    Raises:
        UsageError: A setting is impossible, or the rules name what there is not.
        DataError: The checkpoint or a task's data cannot be used.
        EvaluationError: The model's answers are not finite, or the store failed.
    """
    from evalkit.engine.model import make_engine
    from evalkit.runner import make_plan
    from evalkit.runner.run import record

    pooled = next((rule.task for rule in config.rules or () if rule.pooled), None)
    if pooled is not None:
        raise UsageError(
            f"A rule asks for one figure of {pooled}, which --sequential cannot stop early for; "
            "gate without it, or leave pooled out."
        )
    created, started = datetime.now(UTC), time.perf_counter()
    plan = make_plan(settings)
    engine = make_engine(plan.checkpoint, settings)
    loaded = time.perf_counter()
    queues = {planned.task.name: _queue(planned, seed) for planned in plan.tasks}
    judge = _Judge(config, reference, queues)
    open_tasks = set(queues)
    while open_tasks:
        _ask(plan, engine, {task: queues[task].take() for task in sorted(open_tasks)}, queues)
        judge.look()
        open_tasks = {
            task for task in judge.open_tasks() if queues[task].next < len(queues[task].units)
        }
    asked = sum(len(queue.asked) for queue in queues.values())
    total = sum(len(queue.planned.documents) for queue in queues.values())
    tags = {**settings.tags, SEQUENTIAL: f"{asked}/{total}"}
    final = _narrowed(plan, {task: queue.asked for task, queue in queues.items()}, tags)
    phases = {"load": loaded - started, "respond": time.perf_counter() - loaded}
    samples = {task: _by_filter(queue.samples) for task, queue in queues.items()}
    manifest = record(final, engine, samples, created, phases).manifest
    note = f"sequential: {asked:,} of {total:,} documents were asked ({asked / total:.0%})."
    alpha = config.defaults.alpha * (1 - EARLY_SHARE)
    return manifest, Settled(judge.settled, alpha, note)


class _Judge:
    """Looks at every open question after each round."""

    def __init__(self, config: GateConfig, reference: Reference, queues: dict[str, _Queue]) -> None:
        self.settled: dict[Question, tuple[Side, str]] = {}
        self._config = config
        self._reference = reference
        self._queues = queues
        self._asked: list[Question] | None = None
        self._baselines: dict[str, dict[tuple[str, str, str], dict[str, Any]]] = {}

    def look(self) -> None:
        """Settle what can be settled by now."""
        if self._asked is None:
            self._asked = self._questions()
        levels = _levels(self._config.defaults, len(self._asked))
        for question in self._asked:
            if question.figure is None or question in self.settled:
                continue
            queue = self._queues.get(question.figure[0])
            metric = None if queue is None else queue.planned.task.metrics.get(question.figure[1])
            if queue is None or metric is None or metric.unit in TIMED:
                continue
            samples = [s for s in queue.samples if s.filter == question.figure[2]]
            largest = max(len(unit) for unit in queue.units)
            seen = Look(samples, self._baseline(question.figure[0]), largest, len(queue.units))
            found = look(question, metric.aggregation, seen, *levels)
            if found is not None:
                done, total = len(queue.asked), len(queue.planned.documents)
                self.settled[question] = (found[0], f"{found[1]} after {done} of {total} documents")

    def open_tasks(self) -> set[str]:
        """Tasks of which a question is still open."""
        asked = self._asked or []
        return {q.figure[0] for q in asked if q.figure is not None and q not in self.settled}

    def _questions(self) -> list[Question]:
        directions: Directions = {
            (task, metric, sample.filter): queue.planned.task.metrics[metric].higher_is_better
            for task, queue in self._queues.items()
            for sample in queue.samples
            for metric in sample.statistics
            if metric in queue.planned.task.metrics
        }
        run = _Names(list(self._queues))
        baseline = self._reference.run
        shared = set(self._queues) & set(baseline.tasks if baseline else ())
        rules = list(self._config.rules or ())
        if self._config.rules is None:
            rules, _ = default_rules(directions, shared)
        # The same questions as the gate asks afterwards of the finished run.
        return questions(rules, run, directions, set())

    def _baseline(self, task: str) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Statistics of the baseline's samples, by filter and hashes."""
        run = self._reference.run
        if run is None or task not in run.tasks:
            return {}
        if task not in self._baselines:
            columns = ["filter", "doc_hash", "prompt_hash", "statistics"]
            rows = self._reference.store.samples(run.run_id, task, columns)
            rows["filter"] = rows["filter"].fillna("none")
            keys = rows[["filter", "doc_hash", "prompt_hash"]].itertuples(index=False, name=None)
            self._baselines[task] = dict(zip(keys, rows["statistics"], strict=True))
        return self._baselines[task]


@dataclass(frozen=True, slots=True)
class _Names:
    """As much of a manifest as `questions` needs."""

    tasks: list[str]
    suites: dict[str, list[str]] = field(default_factory=dict)


def _levels(defaults: Defaults, questions: int) -> tuple[float, float]:
    """For each question: chance of a false regression, and of a false pass."""
    count = max(1, questions)
    return EARLY_SHARE * defaults.alpha / count, defaults.alpha / count


def _queue(planned: "PlannedTask", seed: int) -> _Queue:
    families: dict[str, list[Document]] = {}
    for document in planned.documents:
        name = f"d{document.doc_id}" if document.cluster is None else f"c{document.cluster}"
        families.setdefault(name, []).append(document)
    units = list(families.values())
    random = np.random.default_rng([seed, int(digest(planned.task.name), 16)])
    return _Queue(planned, [units[i] for i in random.permutation(len(units))])


def _ask(
    plan: "Plan", engine: Any, documents: dict[str, list[Document]], queues: dict[str, _Queue]
) -> None:
    from evalkit.runner.respond import respond

    part = _narrowed(plan, documents, plan.settings.tags)
    for planned, answers in zip(part.tasks, respond(part, engine), strict=True):
        queue = queues[planned.task.name]
        queue.samples += planned.task.score(planned.documents, answers)
        queue.asked += planned.documents


def _narrowed(plan: "Plan", documents: dict[str, list[Document]], tags: dict[str, str]) -> "Plan":
    """The plan with only these documents."""
    from dataclasses import replace

    tasks = [
        replace(planned, documents=documents[planned.task.name])
        for planned in plan.tasks
        if documents.get(planned.task.name)
    ]
    return replace(plan, tasks=tasks, settings=plan.settings.model_copy(update={"tags": tags}))


def _by_filter(samples: Iterable[Sample]) -> list[Sample]:
    """In the order an unbroken run writes: filter by filter."""
    rows = pd.Series(list(samples), dtype=object)
    order = list(dict.fromkeys(sample.filter for sample in rows))
    return sorted(rows, key=lambda sample: order.index(sample.filter))
