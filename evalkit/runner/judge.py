"""Has a judge model judge the texts that a run has kept, and keeps the verdicts as a run."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from evalkit.engine.model import AnyEngine, make_engine, open_model
from evalkit.errors import UsageError
from evalkit.probes import Probe
from evalkit.probes.judged import Pairwise, Rubric, read_labels, read_texts
from evalkit.results import Manifest, RunFiles, Store
from evalkit.runner.manifest import Origin, make_manifest
from evalkit.runner.plan import Plan, PlannedTask
from evalkit.runner.respond import respond
from evalkit.runner.run import RunResult
from evalkit.runner.score import score_task
from evalkit.runner.tables import samples_table, scores_table, timings_table
from evalkit.settings import RunSettings
from evalkit.types import RequestKind

JUDGED = "judged"
"""Tag of a run of verdicts: id of the run whose texts were judged."""


def judge_run(
    store: Store,
    run: str,
    settings: RunSettings,
    *,
    against: str | None = None,
    labels: Path | None = None,
    tasks: Sequence[str] = (),
) -> RunResult:
    """Judge a run's texts: rated from 1 to 5, or against another run's.

    Args:
        store: Where the runs lie, and where the verdicts go.
        run: Id, name, `tag:KEY=VALUE` or `latest` of the run.
        settings: Its `model` is the judge; device, dtype, batch size, limit and seed are its too.
        against: The other run, for preferences in place of ratings.
        labels: File of human labels.
        tasks: Only these tasks of the run; by default all that generate text.

    Returns:
        The verdicts, a run of its own, of the model that was judged.

    Raises:
        UsageError: A run or task does not exist, or there is no text to judge.
        DataError: The judge, a run's samples or the labels cannot be used.
    """
    created, started = datetime.now(UTC), time.perf_counter()
    judged = store.resolve(run)
    other = None if against is None else store.resolve(against)
    judge = open_model(settings.model, settings.mirror, settings.trust_remote_code)
    names = _generating(judged, tasks)
    probes = [_probe(store, judged, other, task, labels, len(names) == 1) for task in names]
    planned = [
        PlannedTask(probe, probe.documents(settings.limit, settings.seed)) for probe in probes
    ]
    if not any(each.documents for each in planned):
        raise UsageError(f"{judged.name} and {against} have no document in common.")
    plan = Plan(settings, judge, [p for p in planned if p.documents], {}, store)
    store.check_writable()
    engine = make_engine(judge, settings)
    answers = respond(plan, engine)
    responded = time.perf_counter()
    samples = {
        each.task.name: each.task.score(each.documents, found)
        for each, found in zip(plan.tasks, answers, strict=True)
    }
    scores = [
        score
        for each in plan.tasks
        for score in score_task(each.task, samples[each.task.name], settings.seed)
    ]
    phases = {"respond": responded - started, "score": time.perf_counter() - responded}
    manifest = _manifest(plan, judged, other, engine, created, sum(phases.values()))
    files = RunFiles(
        manifest,
        scores_table(manifest.run_id, scores, {each.task.name: 0 for each in plan.tasks}),
        {name: samples_table(manifest.run_id, rows) for name, rows in samples.items()},
        timings_table(manifest.run_id, phases, []),
    )
    return RunResult(store.write(files), manifest, scores)


def _generating(judged: Manifest, wanted: Sequence[str]) -> list[str]:
    kinds = {name: record.request_kind for name, record in judged.tasks.items()}
    texts = [name for name, kind in kinds.items() if kind == RequestKind.GENERATE]
    missing = [name for name in wanted if name not in texts]
    if missing or not texts:
        what = f"no generated texts of {missing[0]}" if missing else "no generated texts"
        raise UsageError(
            f"{judged.name} has {what}; it has texts of: {', '.join(texts) or 'none'}."
        )
    return list(wanted or texts)


def _probe(
    store: Store,
    judged: Manifest,
    other: Manifest | None,
    task: str,
    labels: Path | None,
    is_only: bool,
) -> Probe:
    texts = read_texts(store, judged.run_id, task)
    human = None if labels is None else read_labels(labels, task, other is not None, is_only)
    if other is None:
        return Rubric(task, texts, human)
    if task not in other.tasks:
        raise UsageError(f"{other.name} has no task {task} to judge against.")
    return Pairwise(task, texts, read_texts(store, other.run_id, task), human)


def _manifest(
    plan: Plan,
    judged: Manifest,
    other: Manifest | None,
    engine: AnyEngine,
    created: datetime,
    duration_s: float,
) -> Manifest:
    """The manifest of the judged model; the judge stands in name, settings and tags."""
    made = make_manifest(plan, Origin.new(plan, created), duration_s, engine)
    judge = {"judge": made.model.name, "judge_weights_hash": made.model.weights_hash}
    tags = {JUDGED: judged.run_id, **judge, **plan.settings.tags}
    if other is not None:
        tags["against"] = other.run_id
    settings = {k: v for k, v in made.settings.items() if k not in ("model", "tasks")}
    settings |= {"judge": made.model.path, "judged": judged.run_id}
    # A name of its own: the run's name still means the run whose texts were judged.
    name = plan.settings.name or f"{judged.name} judged by {made.model.name}"
    return made.model_copy(
        update={"name": name, "model": judged.model, "tags": tags, "settings": settings}
    )
