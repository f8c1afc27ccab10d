"""The one path every run takes: plan -> respond -> score -> write."""

import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.fleet import Fleet, FleetEngine
from evalkit.engine.model import AnyEngine, make_engine
from evalkit.errors import EvaluationError, StoppedError
from evalkit.redact import without_secrets
from evalkit.registry import Registry
from evalkit.results import Manifest, RunFiles
from evalkit.results.partial import forget_journal, keep
from evalkit.runner.identity import Mark, file_marks, refuse_changed
from evalkit.runner.journal import Journal
from evalkit.runner.manifest import Origin, make_manifest, new_run_id
from evalkit.runner.plan import Plan, make_plan
from evalkit.runner.respond import respond
from evalkit.runner.resume import open_journal, resume_command
from evalkit.runner.reuse import Reused, reusable
from evalkit.runner.score import score_task
from evalkit.runner.suites import suite_scores
from evalkit.runner.tables import samples_table, scores_table, timings_table
from evalkit.settings import RunSettings
from evalkit.types import Response, Sample, Score

_SCORING = threading.Lock()
"""Runs that go on side by side share their tasks, which score one run at a time."""
_JSON_FIELDS = (
    "task",
    "metric",
    "filter",
    "value",
    "stderr",
    "ci_low",
    "ci_high",
    "n",
    "higher_is_better",
    "tasks",
)


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        path: Where its files are in the store.
        manifest: Everything that could change a figure.
        scores: In task order, then those of suites.
    """

    path: str
    manifest: Manifest
    scores: list[Score]

    def summary(self) -> dict[str, Any]:
        """The run as `evalkit run --json` prints it."""
        return {
            "run_id": self.manifest.run_id,
            "path": self.path,
            "model": self.manifest.model.path,
            "scores": [
                {name: getattr(score, name) for name in _JSON_FIELDS} for score in self.scores
            ],
        }


def run(
    model: str,
    tasks: str | list[str],
    *,
    resume: str | None = None,
    reuse: bool = False,
    **settings: Any,
) -> RunResult:
    """Measure a checkpoint and keep the result in the store.

    Args:
        model: Checkpoint folder, or org/name of a model in the mirror.
        tasks: Task names, globs, suites or YAML files.
        resume: Id of an unfinished run to go on with, or `auto` for the newest that fits, if any.
        reuse: Whether responses of the store's runs are taken where every hash agrees.
        **settings: Further fields of `RunSettings`.

    Raises:
        UsageError: A setting is impossible or a task unknown.
        DataError: The checkpoint or a task's data cannot be used.
        EvaluationError: The model's answers are not finite, or the store failed.
    """
    plan = make_plan(RunSettings.checked(model=model, tasks=tasks, **settings))
    return execute(plan, resume=resume, reuse=reuse)


def execute(
    plan: Plan, *, resume: str | None = None, reuse: bool = False, fleet: Fleet | None = None
) -> RunResult:
    """Carry out a plan.

    Args:
        plan: The plan.
        resume: Id of an unfinished run to go on with, or `auto` for the newest that fits, if any.
        reuse: Whether responses of the store's runs are taken where every hash agrees.
        fleet: Workers that several runs share.

    Raises:
        UsageError: There is no such unfinished run, or it answers something else.
        EvaluationError: The model's answers are not finite, the checkpoint was changed meanwhile,
            workers failed, or disk or store did.
        StoppedError: The user pressed Ctrl-C.
    """
    created = datetime.now(UTC)
    started = time.perf_counter()
    # Hashed before it is read, so that weights overwritten meanwhile are not taken for these.
    marks = file_marks(plan.checkpoint)
    _ = plan.checkpoint.weights_hash, plan.checkpoint.tokenizer_hash
    with _open_engine(plan, fleet) as engine:
        refuse_changed(marks)
        loaded = time.perf_counter()
        device = engine.device if isinstance(engine.device, str) else None
        journal = open_journal(plan, resume, new_run_id(plan, created), created, device)
        journal.began = started
        try:
            known = reusable(plan, journal.content.header.identity) if reuse else Reused()
            answers = _respond(plan, engine, journal, known, marks)
            origin = replace(Origin.of(journal), reused=known.counts)
            phases = {"load": loaded - started, "respond": time.perf_counter() - loaded}
            with _SCORING:
                result = _score(plan, engine, answers, created, phases, origin)
        except KeyboardInterrupt as error:
            command = resume_command(journal.folder.name, plan.store)
            raise StoppedError(f"Stopped at once; go on with: {command}") from error
        finally:
            journal.close()
        journal.delete()
    return result


@contextmanager
def _open_engine(plan: Plan, fleet: Fleet | None) -> Iterator[AnyEngine]:
    """The engine of a plan; a cluster is left again."""
    if fleet is not None and isinstance(plan.checkpoint, Checkpoint):
        engine: AnyEngine = FleetEngine(plan.checkpoint, plan.settings, fleet)
    else:
        engine = make_engine(plan.checkpoint, plan.settings)
    try:
        yield engine
    finally:
        if isinstance(engine, FleetEngine):
            engine.close()


def _score(
    plan: Plan,
    engine: AnyEngine,
    answers: list[list[tuple[Response, ...]]],
    created: datetime,
    phases: dict[str, float],
    origin: Origin,
) -> RunResult:
    """Make the samples of the answers, score and write them."""
    began = time.perf_counter()
    samples = {
        planned.task.name: planned.task.score(planned.documents, responses)
        for planned, responses in zip(plan.tasks, answers, strict=True)
    }
    phases = {**phases, "samples": time.perf_counter() - began}
    return record(plan, engine, samples, created, phases, origin)


def _respond(
    plan: Plan,
    engine: AnyEngine,
    journal: Journal,
    known: Reused,
    marks: dict[Path, Mark],
) -> list[list[tuple[Response, ...]]]:
    """The responses, unless the weights were written over: then they and the journal go."""
    answers = respond(plan, engine, journal, known.responses)
    try:
        refuse_changed(marks, in_place=True)
    except EvaluationError:
        journal.delete()
        raise
    return answers


def record(
    plan: Plan,
    engine: AnyEngine,
    samples: dict[str, list[Sample]],
    created: datetime,
    phases: dict[str, float],
    origin: Origin | None = None,
) -> RunResult:
    """Score the samples of a plan and write the run.

    Args:
        plan: Its tasks hold the documents that were asked, and no others.
        engine: What answered.
        samples: Of each task.
        created: When the run was started.
        phases: Seconds of what came before.
        origin: Which run it is and how its responses came about; by default a new run of `created`.

    Raises:
        EvaluationError: The store cannot take the run; the run is kept on this machine.
    """
    responded = time.perf_counter()
    scores: list[Score] = []
    for planned in plan.tasks:
        scores.extend(score_task(planned.task, samples[planned.task.name], plan.settings.seed))
    scores.extend(suite_scores(plan.suites, scores, Registry(plan.settings.include_path)))
    phases = {**phases, "score": time.perf_counter() - responded}
    origin = origin or Origin.new(plan, created)
    manifest = make_manifest(plan, origin, sum(phases.values()), engine)
    path = _write(plan, manifest, scores, samples, phases)
    return RunResult(path, manifest, scores)


def _write(
    plan: Plan,
    manifest: Manifest,
    scores: list[Score],
    samples: dict[str, list[Sample]],
    phases: dict[str, float],
) -> str:
    run_id = manifest.run_id
    shots = {planned.task.name: planned.task.num_fewshot for planned in plan.tasks}
    shots |= _common_shots(plan.suites, shots)
    timed = [(planned, samples[planned.task.name]) for planned in plan.tasks]
    files = RunFiles(
        manifest,
        scores_table(run_id, scores, shots),
        {name: samples_table(run_id, rows) for name, rows in samples.items()},
        timings_table(run_id, phases, timed),
    )
    try:
        if plan.store.holds(run_id):  # it was killed between its last file and its last word
            return plan.store.path_of(run_id)
        return plan.store.write(files)
    except Exception as error:  # each file system has errors of its own
        raise EvaluationError(_unsent(plan, files, without_secrets(str(error)))) from error


def _common_shots(suites: dict[str, list[str]], shots: dict[str, int]) -> dict[str, int]:
    """Few-shot number of the suites whose tasks agree on one."""
    numbers = {suite: {shots[task] for task in tasks} for suite, tasks in suites.items()}
    return {suite: found.pop() for suite, found in numbers.items() if len(found) == 1}


def _unsent(plan: Plan, files: RunFiles, reason: str) -> str:
    """Keep the run on this machine; says where it is and what to do."""
    run_id, store = files.manifest.run_id, plan.store.shown_url
    try:
        kept = keep(plan.store, files)
    except OSError as error:
        return (
            f"The run could not be written to {store} ({reason}), nor kept on this machine "
            f"({error.strerror}); its answers are in its journal, go on with: "
            f"{resume_command(run_id, plan.store)}"
        )
    forget_journal(plan.store, run_id)
    return (
        f"The run could not be written to {store} ({reason}); it is kept in {kept}, bring it "
        f"there with: evalkit runs push {run_id} --store {shlex.quote(store)}"
    )
