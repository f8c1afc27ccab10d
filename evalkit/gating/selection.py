"""Which figures of a run each rule means."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Protocol

from evalkit.errors import UsageError
from evalkit.gating.config import LIMITS, Margin, Rule
from evalkit.results import primary_metric
from evalkit.stats import TestName

# Names to list where none is near the one that was asked for.
_FEW = 8

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
        metric: As the rule names it, where there is no figure.
        repeats: Whether the rule says how often to take it, which is for timings.
        test: How a difference is tested.
    """

    task: str
    figure: Figure | None
    limit: str
    bound: float | Margin
    missing: str = ""
    metric: str = ""
    repeats: bool = False
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
        present = {figure[0] for figure in directions}
        tasks = _tasks(rule.task, run, present, expected)
        if rule.pooled:
            tasks = [rule.task] if rule.task in run.suites and rule.task in present else []
            found += [] if tasks else _missing(rule, rule.task, _unpooled(rule.task, run))
        elif not tasks:
            names = [*run.tasks, *run.suites, *sorted(expected)]
            found += _missing(rule, rule.task, _lacks(f"task {rule.task!r}", rule.task, names))
        for task in tasks:
            figure = _figure(rule, task, directions)
            if figure is None:
                known = [figure[1:] for figure in directions if figure[0] == task]
                found += _missing(rule, task, _unknown(rule, task, known))
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
        Question(
            figure[0],
            figure,
            limit,
            bound,
            repeats="repeats" in rule.model_fields_set and rule.task == figure[0],
            test=rule.test,
        )
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


def _unpooled(name: str, run: TaskNames) -> str:
    """Why there is no one figure of what is named."""
    if name not in run.suites:
        return _lacks(f"suite {name!r}", name, [*run.suites])
    return f"the run has no one figure of {name}; the suite's file has no aggregate_metric_list"


def _unknown(rule: Rule, task: str, known: Sequence[tuple[str, str]]) -> str:
    """Which of a rule's names the run does not have."""
    if not known:
        return _lacks(f"task {task!r}", task, ())
    metrics = [metric for metric, _ in known]
    if rule.metric is not None and rule.metric not in metrics:
        return _lacks(f"metric {rule.metric!r} of {task!r}", rule.metric, metrics)
    filters = [name for metric, name in known if rule.metric in (None, metric)]
    return _lacks(f"filter {rule.filter!r} of {task!r}", rule.filter or "", filters)


def _lacks(what: str, name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, dict.fromkeys(known), n=1)
    if near:
        return f"the run has no {what}; did you mean {near[0]}?"
    few = f"; it has {', '.join(dict.fromkeys(known))}" if 0 < len(set(known)) <= _FEW else ""
    return f"the run has no {what}{few}"


def _missing(rule: Rule, task: str, why: str) -> list[Question]:
    return [
        Question(task, None, limit, bound, why, rule.metric or "")
        for limit in LIMITS
        if (bound := getattr(rule, limit)) is not None
    ][:1]
