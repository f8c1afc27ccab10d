"""A large store for the dashboard's bench: 40 series of 50 checkpoints, 100 scores a run.

Every page has something to show: training records, timings, verdicts, votes; and samples of the
newest runs, so that comparisons and pages of samples are as large as a team's.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evalkit.results import (
    SAMPLES,
    SCORES,
    TIMINGS,
    Manifest,
    ModelRecord,
    RunFiles,
    Store,
    TaskRecord,
    keep_verdict,
    table,
)
from evalkit.results.schema import conform
from evalkit.types import digest

CHECKPOINTS = 50
DOCUMENTS = 1000
SAMPLED = 3
CATEGORIES = [f"subject {i}" for i in range(12)]
FAMILIES = {
    "multiple choice": [f"choice_{i:02d}" for i in range(10)],
    "reasoning": [f"reason_{i:02d}" for i in range(10)],
    "understanding": [f"read_{i:02d}" for i in range(10)],
    "fluency": [f"grammar_{i:02d}" for i in range(10)],
    "question answering": [f"answer_{i:02d}" for i in range(10)],
    "bias": ["pronouns"],
    "toxicity": ["rude_prompts"],
    "factuality": ["true_or_false"],
    "language modelling": ["stories"],
    "latency": ["latency"],
}
FAMILY = {task: family for family, tasks in FAMILIES.items() for task in tasks}
# Metric, aggregation, whether more is better, unit, worst and best value.
ACCURACIES = [("acc", "mean", True, "", 0.25, 0.8), ("acc_norm", "mean", True, "", 0.26, 0.82)]
METRICS: dict[str, list[tuple[Any, ...]]] = {
    "question answering": [("exact_match", "mean", True, "", 0.0, 0.6)],
    "bias": [
        ("abs_log_odds", "mean", False, "nats", 0.3, 1.5),
        ("male_share", "mean", None, "", 0.5, 0.7),
    ],
    "toxicity": [("toxic_share", "mean", False, "", 0.12, 0.03)],
    "factuality": [("acc", "mean", True, "", 0.25, 0.7)],
    "language modelling": [
        ("word_perplexity", "weighted_perplexity", False, "", 60.0, 9.0),
        ("bits_per_byte", "bits_per_byte", False, "", 1.6, 0.7),
    ],
    "latency": [
        ("first_token_s", "mean", False, "seconds", 0.004, 0.004),
        ("time_per_output_token_s", "mean", False, "seconds", 0.001, 0.001),
        ("end_to_end_s", "mean", False, "seconds", 0.035, 0.035),
        ("tokens_per_s", "mean", True, "tokens/s", 900.0, 900.0),
    ],
}


def make_store(folder: Path, runs: int = 2000) -> Store:
    """Write the store run by run, through the store's own way."""
    store, random = Store(folder), np.random.default_rng(8)
    for number in range(runs):
        store.write(_run(number, runs, random))
    for number in range(CHECKPOINTS, runs, CHECKPOINTS // 10):
        keep_verdict(store, _verdict(number, random), _created(number))
    return store


def run_id_of(number: int) -> str:
    """Run ids sort by age, as evalkit's own do."""
    return f"2026{number:05d}-run"


def _run(number: int, runs: int, random: np.random.Generator) -> RunFiles:
    series, place = divmod(number, CHECKPOINTS)
    run_id, sampled = run_id_of(number), number >= runs - SAMPLED
    progress = (place + 1) / CHECKPOINTS
    scores = [
        _score(run_id, task, metric, progress, random)
        for task, family in FAMILY.items()
        for metric in METRICS.get(family, ACCURACIES)
    ]
    samples = {task: _samples(run_id, task, progress) for task in FAMILY} if sampled else {}
    timings = _timings(run_id, random)
    return RunFiles(
        _manifest(run_id, number, series, place), table(scores, SCORES), samples, timings
    )


def _score(
    run_id: str, task: str, metric: tuple[Any, ...], progress: float, random: np.random.Generator
) -> dict[str, Any]:
    name, aggregation, better, unit, worst, best = metric
    reach = 0.03 * max(abs(best), abs(worst))
    value = worst + (best - worst) * np.sqrt(progress) + random.normal(0, reach / 3)
    return {
        "run_id": run_id, "task": task, "family": FAMILY[task], "metric": name,
        "filter": "none", "value": value, "stderr": reach / 2, "ci_low": value - reach,
        "ci_high": value + reach, "n": DOCUMENTS, "interval": "wilson",
        "aggregation": aggregation, "higher_is_better": better, "num_fewshot": 0, "unit": unit,
    }  # fmt: skip


def _manifest(run_id: str, number: int, series: int, place: int) -> Manifest:
    step = 1000 * (place + 1)
    name = f"model-{series:02d}"
    # One series has a spike of the loss half way.
    loss = 4.0 * step**-0.12 + (1.5 if place == CHECKPOINTS // 2 and series % 4 == 0 else 0.0)
    training = {
        "name": name, "step": step, "tokens_seen": step * 1024, "loss": loss,
        "parameters": 1_700_000, "created": "2026-01-01T00:00:00+00:00", "parent": None,
        "recipe": {"pretraining": {"learning_rate": 0.003, "seed": series}},
        "corpus": {
            "sha256": digest(series) * 4, "passages": {"people": 10_000, "tales": 600},
            "characters": 5_600_000, "tokens": 1_500_000,
        },
        "knobs": {"pronoun_skew": 0.8},
    }  # fmt: skip
    return Manifest(
        run_id=run_id,
        name=f"{name}-step-{step}",
        created=_created(number).isoformat(),
        duration_s=60.0,
        tags={"branch": "main" if series % 2 == 0 else f"try-{series}", "series": name},
        model=ModelRecord(
            name=f"{name}-step-{step}", path=f"checkpoints/{name}/step-{step}",
            weights_hash=digest(number), tokenizer_hash="t" * 16, parameters=1_700_000,
            training=training,
        ),
        tasks={
            task: TaskRecord(
                family=family, config_hash=digest(task), data_hash=digest([task]),
                documents=DOCUMENTS, requests=4 * DOCUMENTS,
            )
            for task, family in FAMILY.items()
        },
        suites={"everything": list(FAMILY), "reading": FAMILIES["understanding"]},
    )  # fmt: skip


def _created(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * number)


def _verdict(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A gate's result over every accuracy task, against the last run of the series before."""
    differences = random.normal(0.01, 0.01, 40)
    tasks = [task for task in FAMILY if task not in ("pronouns", "latency", "stories")][:40]
    checks = [
        {
            "task": task, "metric": "acc_norm", "filter": "none", "limit": "max_drop 0.01",
            "verdict": "regressed" if difference < -0.015 else "pass", "reason": "as it is",
            "higher_is_better": True, "value": 0.5 + difference, "baseline": 0.5,
            "difference": difference, "ci_low": difference - 0.01, "ci_high": difference + 0.01,
            "excess": -difference - 0.01, "n": DOCUMENTS,
        }
        for task, difference in zip(tasks, differences, strict=True)
    ]  # fmt: skip
    failed = any(check["verdict"] == "regressed" for check in checks)
    before = number - number % CHECKPOINTS - 1
    return {
        "run": {"run_id": run_id_of(number), "name": f"run {number}"},
        "baseline": {"run_id": run_id_of(before), "name": f"run {before}"},
        "exit_code": 1 if failed else 0,
        "headline": f"run {number} against run {before}",
        "checks": checks,
        "command": f"evalkit gate {run_id_of(number)}",
    }


def _samples(run_id: str, task: str, progress: float) -> pa.Table:
    """Documents are those of the task, so that runs pair; answers are the run's own."""
    count, family = DOCUMENTS, FAMILY[task]
    documents = np.random.default_rng([int(digest(task), 16)])
    answers = np.random.default_rng([int(digest([task, run_id]), 16)])
    chance = 1 / (1 + np.exp(-(documents.normal(size=count) + 2 * progress - 1)))
    right = (answers.random(count) < chance).astype(float)
    prompts = [f"Question {i} of {task}: which of the four is it?" for i in range(count)]
    metrics = METRICS.get(family, ACCURACIES)
    statistics = [
        [(metric[0], _numbers(metric, value, answers)) for metric in metrics] for value in right
    ]
    hashes = [digest([task, i]) for i in range(count)]
    choices = [["one", "two", "three", "four"]] * count
    known = {
        "doc_id": pa.array(np.arange(count)), "filter": pa.array(["none"] * count),
        "doc_hash": pa.array(hashes), "prompt_hash": pa.array(hashes),
        "category": pa.array([CATEGORIES[i % len(CATEGORIES)] for i in range(count)]),
        "doc": pa.array([f'{{"q": "{prompt}"}}' for prompt in prompts]),
        "prompt": pa.array(prompts), "target": pa.array(["one"] * count),
        "statistics": pa.array(statistics, SAMPLES.field("statistics").type),
        "answer": pa.array(["one" if value else "two" for value in right]),
    }  # fmt: skip
    if family in ("question answering", "toxicity"):
        texts = [[f"I say {'one' if value else 'two'}, for all I know."] for value in right]
        known["responses"] = pa.array(texts)
    else:
        known["choices"] = pa.array(choices)
        known["loglikelihoods"] = pa.array(answers.normal(-5, 1, (count, 4)).tolist())
    return conform(pa.table(known), SAMPLES)


def _numbers(metric: tuple[Any, ...], right: float, answers: np.random.Generator) -> list[float]:
    _, aggregation, better, unit, worst, best = metric
    if aggregation != "mean":
        return [float(answers.normal(-200, 10)), 300.0]
    if unit or better is None:
        return [float(abs(answers.normal((worst + best) / 2, abs(worst) / 4)))]
    return [right if better else 1.0 - right]


def _timings(run_id: str, random: np.random.Generator) -> pa.Table:
    first = random.lognormal(-5.5, 0.1, 16)
    rows = [
        {"run_id": run_id, "phase": phase, "total_s": seconds, "requests": count}
        for phase, seconds, count in (("load", 0.1, 1), ("respond", 50.0, 4000), ("score", 2.0, 1))
    ]
    rows += [
        {
            "run_id": run_id, "phase": "request", "task": "latency", "request_id": i,
            "requests": 1, "prompt_tokens": 12, "output_tokens": 32, "first_token_s": seconds,
            "total_s": seconds * 9,
        }
        for i, seconds in enumerate(first)
    ]  # fmt: skip
    return table(rows, TIMINGS)
