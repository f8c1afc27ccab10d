"""`watch`: measures each new checkpoint of a training, judges it, tells when the gate turns."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError, EvalkitError, EvaluationError, UsageError
from evalkit.gating import gate, load_config
from evalkit.redact import without_secrets
from evalkit.results import Store
from evalkit.results.gates import OUTCOMES
from evalkit.settings import RunSettings
from evalkit.types import digest
from evalkit.watching.ledger import Entry, Turn, alone, read_ledger, write_ledger
from evalkit.watching.source import Seen, Source, order_of
from evalkit.watching.tell import tellers

if TYPE_CHECKING:
    from evalkit.runner import Plan

TAG = "watch"
_TRIES = 3
_AS_MEASURED = ("tasks", "num_fewshot", "fewshot_seeding", "limit", "seed", "dtype")
_NO_BASELINE = 4


@dataclass(frozen=True)
class Watching:
    """What to watch for, and what to do.

    Attributes:
        every: Only checkpoints whose step is a multiple of it.
        newest_first: Whether the newest of those that wait is measured first.
        poll_s: Seconds between two looks; what has not changed from one to the next is complete.
        once: End when nothing is left to measure.
        gate: File of rules; without a baseline in it, each is held against the one before.
        command: Called when the gate's outcome turns.
        webhook: URL that is told then.
    """

    every: int | None = None
    newest_first: bool = False
    poll_s: float = 30.0
    once: bool = False
    gate: Path | None = None
    command: str | None = None
    webhook: str | None = None


def watch(
    folder: str, settings: RunSettings, watching: Watching, say: Callable[[str], None]
) -> None:
    """Measure each complete checkpoint that a training saves, each once, until stopped.

    Args:
        folder: Where they appear: a path or an fsspec URL.
        settings: Of the runs; its model is not used.
        watching: What to watch for.
        say: Tells the user.

    Raises:
        UsageError: A setting is impossible, or the same is watched already.
        DataError: The gate's rules or the record of this watch cannot be read.
        StoppedError: The user pressed Ctrl-C.
        EvaluationError: It was to end when all is measured, and some could not be.
    """
    source, store = Source(folder), Store(settings.store)
    store.check_writable()
    chosen = settings.model_dump(mode="json", include=set(_AS_MEASURED))
    series = digest([source.url, chosen])
    with alone(store, series):
        going = _Watch(source, store, series, settings, watching, say)
        while True:
            did_something = going.look()
            if watching.once and not did_something and not going.unsettled:
                going.check_whole()
                return
            if not did_something:
                time.sleep(watching.poll_s)


@dataclass
class _Watch:
    """A watch that is going on."""

    source: Source
    store: Store
    series: str
    settings: RunSettings
    watching: Watching
    say: Callable[[str], None]
    unsettled: bool = False
    _stamps: dict[str, tuple[str, float]] = field(default_factory=dict)
    _said: set[tuple[str, str]] = field(default_factory=set)
    _failed: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rules = load_config(self.watching.gate) if self.watching.gate else None
        self._tellers = tellers(self.watching.command, self.watching.webhook)
        if self._tellers and self._rules is None:
            raise UsageError("Whom to tell when the gate turns, but no --gate: name its rules.")
        self._ledger = read_ledger(self.store, self.series, self.source.shown)
        self._plan: Plan | None = None

    def look(self) -> bool:
        """Look once, and measure what is complete; returns whether there was anything."""
        self._tell()
        try:
            there = self.source.look()
        except DataError as error:  # an object store may be away for a while
            self._say_once("", str(error))
            return False
        waiting = [seen for seen in there if self._is_wanted(seen)]
        complete = [seen for seen in waiting if self._is_complete(seen)]
        self.unsettled = len(complete) < len(waiting)
        if self.watching.newest_first:
            complete.reverse()
        # A fleet takes all of them at once; here, something newer may come after the first.
        takes_all = self.settings.engine == "ray"
        batches = [complete] if takes_all else [[seen] for seen in complete]
        return any(self._measure(batch) for batch in batches if batch)

    def _is_wanted(self, seen: Seen) -> bool:
        every = self.watching.every
        if every is not None and (seen.step is None or seen.step % every):
            return False
        entry = self._ledger.entries.get(seen.name)
        if entry is None or entry.stamp != seen.stamp:
            return True
        return entry.run_id is None and entry.tries < _TRIES

    def _is_complete(self, seen: Seen) -> bool:
        """Whether it was renamed when it was whole, or has not changed for one pause."""
        now = time.monotonic()
        stamp, since = self._stamps.get(seen.name, ("", now))
        if stamp != seen.stamp:
            since = now
            self._stamps[seen.name] = seen.stamp, now
        return seen.is_renamed or now - since >= self.watching.poll_s

    def check_whole(self) -> None:
        """Raise where a checkpoint failed, other than by being written still.

        Raises:
            EvaluationError: It names them.
        """
        if self._failed:
            raise EvaluationError(f"Not measured, for the reason above: {', '.join(self._failed)}.")

    def _measure(self, batch: Sequence[Seen]) -> bool:
        """Measure checkpoints; returns whether any is measured now."""
        from evalkit.runner import Failed, Measured, execute_many

        came = False
        with ExitStack() as copies:
            plans, by_model = [], {}
            for seen in batch:
                try:
                    folder = copies.enter_context(self.source.here(seen))
                except DataError as error:  # the object store's fault: it is tried at each look
                    self._say_once(seen.name, str(error))
                    continue
                try:
                    plan = self._planned(seen, folder)
                except DataError as error:  # written in place, perhaps, by someone who pauses
                    self._say_once(seen.name + seen.stamp, f"{seen.name} is left for now: {error}")
                    self._note_failure(seen, str(error), _TRIES)
                    continue
                plans.append(plan)
                by_model[plan.settings.model] = seen
            for outcome in execute_many(plans, resume="auto") if plans else ():
                if isinstance(outcome, Failed):
                    seen = by_model[outcome.model]
                    self.say(f"{seen.name}: {outcome.error}")
                    self._failed[seen.name] = None
                    self._note_failure(seen, str(outcome.error), self._tries(seen) + 1)
                    continue
                came = True
                run = outcome.run if isinstance(outcome, Measured) else outcome.manifest
                model = outcome.model if isinstance(outcome, Measured) else run.settings["model"]
                self._note_run(by_model[str(model)], run.run_id)
        return came

    def _planned(self, seen: Seen, folder: Path) -> "Plan":
        from evalkit.engine.model import open_model
        from evalkit.runner import make_plan
        from evalkit.runner.many import plan_alike

        tags = {**self.settings.tags, TAG: self.source.name}
        update: dict[str, object] = {"model": str(folder), "tags": tags}
        if not self.source.is_local:
            update["name"] = f"{self.source.name}-{seen.name}"
            update["tags"] = {**tags, "source": f"{self.source.shown}/{seen.name}"}
        settings = self.settings.model_copy(update=update)
        if self._plan is None:
            open_model(str(folder), settings.mirror, settings.trust_remote_code)
            try:
                self._plan = make_plan(settings)
            except DataError as error:  # the tasks' fault, so no checkpoint is to be given up
                raise UsageError(str(error)) from error
            return self._plan
        return plan_alike(replace(self._plan, settings=settings), str(folder))

    def _note_failure(self, seen: Seen, problem: str, tries: int) -> None:
        entry = Entry(stamp=seen.stamp, problem=without_secrets(problem), tries=tries)
        self._ledger.entries[seen.name] = entry
        self.unsettled = self.unsettled or tries < _TRIES
        self._keep()

    def _note_run(self, seen: Seen, run_id: str) -> None:
        """Keep that it is measured, judge it, and tell if the outcome turned."""
        entry = Entry(stamp=seen.stamp, run_id=run_id)
        self._failed.pop(seen.name, None)
        headline = ""
        if self._rules is not None:
            entry.outcome, headline = self._judged(seen, run_id, self._rules.baseline is None)
        self.say(headline or f"{seen.name} is measured: {run_id}")
        self._ledger.entries[seen.name] = entry
        self._turn(seen, entry, headline)
        self._keep()
        self._tell()

    def _judged(self, seen: Seen, run_id: str, chained: bool) -> tuple[str | None, str]:
        """The gate's outcome and headline; none for the first of a chain.

        Args:
            seen: The checkpoint.
            run_id: Its run.
            chained: Whether the one before is the baseline.
        """
        before = self._before(seen) if chained else None
        try:
            result = gate(run_id, self.watching.gate, baseline=before, store=self.settings.store)
        except EvalkitError as error:
            return OUTCOMES.get(error.exit_code), f"{seen.name}: {error}"
        if result.exit_code == _NO_BASELINE and chained and before is None:
            return None, ""
        return OUTCOMES[result.exit_code], result.headline

    def _before(self, seen: Seen) -> str | None:
        """The run of the nearest earlier checkpoint that was measured."""
        earlier = [
            (order_of(name), entry.run_id)
            for name, entry in self._ledger.entries.items()
            if entry.run_id is not None and order_of(name) < seen.order
        ]
        return max(earlier)[1] if earlier else None

    def _turn(self, seen: Seen, entry: Entry, headline: str) -> None:
        """Note a turn; the verdict on a checkpoint older than the last judged one turns nothing."""
        name, outcome = self._ledger.standing or ("", "passed")
        if entry.outcome is None or (name and order_of(name) > seen.order):
            return
        self._ledger.standing = seen.name, entry.outcome
        if entry.outcome != outcome:
            turn = Turn(
                checkpoint=seen.name,
                run_id=str(entry.run_id),
                before=outcome,
                after=entry.outcome,
                headline=headline,
            )
            self._ledger.untold.extend((who, turn) for who in self._tellers)

    def _tell(self) -> None:
        """Tell what has not been told; what fails is told at the next look."""
        left = []
        for who, turn in self._ledger.untold:
            try:
                if who in self._tellers:
                    self._tellers[who](turn)
            except Exception as error:
                reason = without_secrets(str(error))
                self._say_once(who + turn.run_id, f"The {who} could not be told: {reason}")
                left.append((who, turn))
        if left != self._ledger.untold:
            self._ledger.untold = left
            self._keep()

    def _tries(self, seen: Seen) -> int:
        entry = self._ledger.entries.get(seen.name)
        return entry.tries if entry is not None and entry.stamp == seen.stamp else 0

    def _keep(self) -> None:
        write_ledger(self.store, self.series, self._ledger)

    def _say_once(self, about: str, text: str) -> None:
        if (about, text) not in self._said:
            self._said.add((about, text))
            self.say(text)
