"""Which figures of a run each rule means."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from evalkit.errors import UsageError
from evalkit.gating.config import LIMITS, Margin, Rule
from evalkit.results import primary_metric
from evalkit.stats import TestName

Figure = tuple[str, str, str]
"""Task, metric, filter."""
Directions = dict[Figure, bool | None]
"""Figures a run reports, and whether higher is better."""


@dataclass(frozen=True, slots=True)
class Question:
    """One limit on one figure.

    Attributes:
        figure: None where neither run nor baseline can say which is meant.
        limit: One of `LIMITS`.
        bound: A value for min and max, else a margin.
        missing: Why the question cannot be asked of the run; empty where it can.
        test: How a difference is tested.
    """

    task: str
    figure: Figure | None
    limit: str
    bound: float | Margin
    missing: str = ""
    test: TestName = "auto"

    @property
    def label(self) -> str:
        """As the rules say it."""
        bound = f"{self.bound:g}" if isinstance(self.bound, float) else str(self.bound)
        return f"{self.limit} {bound}"


class TaskNames(Protocol):
    """What a manifest says of its tasks."""

    @property
    def tasks(self) -> Collection[str]:
        """Their names, in order."""

    @property
    def suites(self) -> Mapping[str, Sequence[str]]:
        """Names of each suite's tasks."""


def questions(
    rules: Sequence[Rule], run: TaskNames, directions: Directions, expected: set[str]
) -> list[Question]:
    """Unfold rules into questions, one for each figure and limit.

    Args:
        rules: In order.
        run: Gives the suites.
        directions: What the run reports.
        expected: Tasks of the baseline: a glob that fits one of them is missing it in the run.

    Raises:
        UsageError: A rule's limits guard against no loss of a figure it names.
    """
    found = []
    for number, rule in enumerate(rules, 1):
        tasks = _tasks(rule.task, run, {figure[0] for figure in directions}, expected)
        if not tasks:
            found += _missing(rule, rule.task, f"the run has no task {rule.task!r}")
        for task in tasks:
            figure = _figure(rule, task, directions)
            if figure is None:
                what = f"task {task!r}"
                if any(known[0] == task for known in directions):
                    what = f"metric {rule.metric!r} of {task!r}"
                found += _missing(rule, task, f"the run has no {what}")
                continue
            found += _limits(rule, number, figure, directions[figure])
    return found


def default_rules(directions: Directions, shared: set[str]) -> tuple[list[Rule], list[str]]:
    """Rules by which no shared task's primary metric may get worse, and notes on those without."""
    rules, notes = [], []
    for task in dict.fromkeys(task for task, _, _ in directions if task in shared):
        rule = Rule(task=task, max_drop=Margin(amount=0), max_rise=Margin(amount=0))
        figure = _figure(rule, task, directions)
        if figure and directions[figure] is None:
            notes.append(f"{task}: neither direction of {figure[1]} is better; not judged.")
        else:
            rules.append(rule)
    return rules, notes


def _tasks(pattern: str, run: TaskNames, present: set[str], expected: set[str]) -> list[str]:
    ordered = [*run.tasks, *sorted(expected - set(run.tasks))]
    if pattern in run.suites:
        return list(run.suites[pattern])
    if pattern in ordered or pattern in present:
        return [pattern]
    return [task for task in ordered if fnmatchcase(task, pattern)]


def _figure(rule: Rule, task: str, directions: Directions) -> Figure | None:
    reported = [
        (metric, filter_)
        for known, metric, filter_ in directions
        if known == task and rule.metric in (None, metric) and rule.filter in (None, filter_)
    ]
    return (task, *primary_metric(reported)) if reported else None


def _limits(
    rule: Rule, number: int, figure: Figure, higher_is_better: bool | None
) -> list[Question]:
    senseless = {True: "max_rise", False: "max_drop", None: ""}[higher_is_better]
    useful = [
        Question(figure[0], figure, limit, bound, test=rule.test)
        for limit in LIMITS
        if (bound := getattr(rule, limit)) is not None and limit != senseless
    ]
    if not useful:
        better, other = ("higher", "max_drop") if higher_is_better else ("lower", "max_rise")
        raise UsageError(
            f"Rule {number} gives {figure[0]} {figure[1]} only a {senseless}, but {better} is "
            f"better there; give {other}."
        )
    return useful


def _missing(rule: Rule, task: str, why: str) -> list[Question]:
    return [
        Question(task, None, limit, bound, why)
        for limit in LIMITS
        if (bound := getattr(rule, limit)) is not None
    ][:1]
