"""The one path every run takes: plan -> respond -> score -> write."""

import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evalkit.engine.local import LocalEngine
from evalkit.errors import EvaluationError
from evalkit.results import Manifest, ModelRecord, RunFiles, TaskRecord
from evalkit.runner.environment import environment
from evalkit.runner.plan import Plan, make_plan
from evalkit.runner.respond import respond
from evalkit.runner.score import score_task
from evalkit.runner.tables import samples_table, scores_table, timings_table
from evalkit.settings import RunSettings
from evalkit.types import Sample, Score

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
)


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        path: Where its files are in the store.
        manifest: Everything that could change a figure.
        scores: In task order.
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


def run(model: str, tasks: str | list[str], **settings: Any) -> RunResult:
    """Measure a checkpoint and keep the result in the store.

    Args:
        model: Checkpoint folder, or org/name of a model in the mirror.
        tasks: Task names, globs, suites or YAML files.
        **settings: Further fields of `RunSettings`.

    Raises:
        UsageError: A setting is impossible or a task unknown.
        DataError: The checkpoint or a task's data cannot be used.
        EvaluationError: The model's answers are not finite, or the store failed.
    """
    return execute(make_plan(RunSettings.checked(model=model, tasks=tasks, **settings)))


def execute(plan: Plan) -> RunResult:
    """Carry out a plan."""
    created = datetime.now(UTC)
    started = time.perf_counter()
    settings = plan.settings
    # Hashed before it is read, so that weights overwritten meanwhile are not taken for these.
    _ = plan.checkpoint.weights_hash, plan.checkpoint.tokenizer_hash
    engine = LocalEngine(
        plan.checkpoint,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
    )
    loaded = time.perf_counter()
    answers = respond(plan, engine)
    responded = time.perf_counter()
    samples = {
        planned.task.name: planned.task.score(planned.documents, responses)
        for planned, responses in zip(plan.tasks, answers, strict=True)
    }
    phases = {
        "load": loaded - started,
        "respond": responded - loaded,
        "samples": time.perf_counter() - responded,
    }
    return record(plan, engine, samples, created, phases)


def record(
    plan: Plan,
    engine: LocalEngine,
    samples: dict[str, list[Sample]],
    created: datetime,
    phases: dict[str, float],
) -> RunResult:
    """Score the samples of a plan and write the run.

    Args:
        plan: Its tasks hold the documents that were asked, and no others.
        engine: What answered.
        samples: Of each task.
        created: When the run was started.
        phases: Seconds of what came before.
    """
    responded = time.perf_counter()
    scores: list[Score] = []
    for planned in plan.tasks:
        scores.extend(score_task(planned.task, samples[planned.task.name], plan.settings.seed))
    phases = {**phases, "score": time.perf_counter() - responded}
    manifest = _manifest(plan, created, sum(phases.values()), engine)
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
    timed = [(planned, samples[planned.task.name]) for planned in plan.tasks]
    files = RunFiles(
        manifest,
        scores_table(run_id, scores, shots),
        {name: samples_table(run_id, rows) for name, rows in samples.items()},
        timings_table(run_id, phases, timed),
    )
    try:
        return plan.store.write(files)
    except OSError as error:
        raise EvaluationError(
            f"The run could not be written to {plan.store.url}: {error}."
        ) from error


def _manifest(plan: Plan, created: datetime, duration_s: float, engine: LocalEngine) -> Manifest:
    checkpoint = plan.checkpoint
    name = plan.settings.name or _default_name(plan)
    return Manifest(
        run_id=f"{created:%Y%m%dT%H%M%S}-{_slug(name)}-{secrets.token_hex(2)}",
        name=name,
        created=created.isoformat(timespec="seconds"),
        duration_s=duration_s,
        tags=plan.settings.tags,
        model=ModelRecord(
            name=_default_name(plan),
            path=str(checkpoint.path),
            weights_hash=checkpoint.weights_hash,
            tokenizer_hash=checkpoint.tokenizer_hash,
            architecture=checkpoint.architecture,
            parameters=checkpoint.parameters,
            training=checkpoint.training,
        ),
        tasks={
            planned.task.name: TaskRecord(
                family=planned.task.family,
                version=planned.task.version,
                config_hash=planned.task.config_hash,
                data_hash=planned.data_hash,
                num_fewshot=planned.task.num_fewshot,
                documents=len(planned.documents),
                requests=planned.requests,
                source=planned.task.source,
            )
            for planned in plan.tasks
        },
        suites=plan.suites,
        settings=plan.settings.model_dump(mode="json"),
        environment=environment(engine.loaded.device)
        | {"engine": {"forest": engine.is_forest, "packed_weights": engine.packed_weights}},
        warnings=engine.warnings,
    )


def _default_name(plan: Plan) -> str:
    """The folder's name, with its parent's where it only counts steps."""
    path = plan.checkpoint.path
    counts = re.fullmatch(r"(step|checkpoint|epoch)[-_]?\d*", path.name)
    return f"{path.parent.name}-{path.name}" if counts else path.name


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:48] or "run"
