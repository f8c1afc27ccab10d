"""Before and after: the parent and the new checkpoint on the rows that were held out."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from evalkit.engine.local import LocalEngine
from evalkit.training.adapt.measure import (
    Measured,
    measure_answers,
    measure_labels,
    measure_preference,
    measure_ranking,
    measure_reward,
    open_engine,
    values,
)
from evalkit.training.adapt.parent import load_classifier, open_parent
from evalkit.training.adapt.rewards import class_logits, model_score
from evalkit.training.adapt.text import last_answer
from evalkit.training.adapt.trainers import Job


def measure_before(job: Job) -> dict[str, float | None]:
    """Metric -> the parent's value; what guessing reaches, where the parent cannot do it at all."""
    method = job.recipe.method
    if method == "reward":
        return {"preference": 0.5}
    if method == "classifier":
        return {"accuracy": _commonest(job)}
    return values(_ENGINES[method](job, open_engine(job.parent.path, _device(job))))


def measure_after(job: Job, folder: Path) -> Measured:
    """What the new checkpoint reaches, as it was saved."""
    method = job.recipe.method
    if method in _CLASSIFIERS:
        return _CLASSIFIERS[method](job, folder)
    return _ENGINES[method](job, open_engine(folder, _device(job)))


def _device(job: Job) -> str:
    return job.recipe.optimisation.device


def _answers(job: Job, engine: LocalEngine) -> Measured:
    rows = [last_answer(row, job.parent.tokenizer) for row in job.rows.held_out]
    return measure_answers(engine, rows)


def _preference(job: Job, engine: LocalEngine) -> Measured:
    found = measure_preference(engine, job.rows.held_out)
    return found if job.score is None else found | _rewarded(job, engine)


def _rewarded(job: Job, engine: LocalEngine) -> Measured:
    assert job.score is not None  # noqa: S101 - the method has one
    choice = job.recipe.sampling
    return measure_reward(
        engine, job.rows.held_out, job.score, choice.temperature, choice.max_new_tokens
    )


def _ranking(job: Job, folder: Path) -> Measured:
    made = open_parent(folder, causal=False)
    model = load_classifier(made, ["score"], seed=0)
    return measure_ranking(job.rows.held_out, model_score(model, made.tokenizer))


def _labels(job: Job, folder: Path) -> Measured:
    made = open_parent(folder, causal=False)
    model = load_classifier(made, list(job.labels), seed=0)
    logits = class_logits(model, made.tokenizer, [row["text"] for row in job.rows.held_out])
    told = [each.index(max(each)) for each in logits]
    truth = [job.labels.index(str(row["label"])) for row in job.rows.held_out]
    return measure_labels(truth, told, len(job.labels))


def _commonest(job: Job) -> float:
    """Share of held-out rows that always telling the commonest label gets right."""
    (label, _), *_ = Counter(str(row["label"]) for row in job.rows.train).most_common(1)
    held_out = [str(row["label"]) for row in job.rows.held_out]
    return held_out.count(label) / len(held_out)


_ENGINES: dict[str, Callable[[Job, LocalEngine], Measured]] = {
    "sft": _answers,
    "dpo": _preference,
    "grpo": _rewarded,
}
_CLASSIFIERS: dict[str, Callable[[Job, Path], Measured]] = {
    "reward": _ranking,
    "classifier": _labels,
}
