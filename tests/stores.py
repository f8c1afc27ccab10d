"""Stores for tests: runs of invented models whose samples, and scores from them, look real.

`make_store(path)` writes an early and a late run over five tasks. Every document has a difficulty
that all runs share, so paired samples are correlated as those of real checkpoints are.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from evalkit.metrics import sample_statistics
from evalkit.results import (
    SAMPLES,
    SCORES,
    TIMINGS,
    Manifest,
    ModelRecord,
    RunFiles,
    Store,
    TaskRecord,
    table,
)
from evalkit.stats import estimate
from evalkit.types import digest

Row = dict[str, Any]
HOSTILE = [
    "<script>alert('x')</script>",
    "![image](http://127.0.0.1/x) [link](javascript:alert(1)) **bold** | pipe | `tick`",
    "\x1b[31mred\x1b[0m \x07bell \x00null",
    "$x^2$ :material/delete: ]]> &amp; <!-- --> \u202etxet\u202c",
    "line one\r\nline two\n::error::forged\n| a | b |\n|---|---|",
    "",
]
LOWER_IS_BETTER = {
    "word_perplexity",
    "byte_perplexity",
    "bits_per_byte",
    "first_token_p50",
    "mean_s",
}
AGGREGATIONS = {
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
    "bleu": "bleu",
    "first_token_p50": "custom",
}
PLACES = ["Arden", "Brael", "Corvo", "Dunmer", "Elsted", "Fairow"]
WORDS = ["old", "mill", "by", "river", "grinds", "corn", "for", "town", "all", "winter", "long"]


def make_store(
    path: str | Path,
    runs: Sequence[str] | Mapping[str, float] = ("early", "late"),
    tasks: Iterable[str] = ("facts", "passages", "answers", "translation", "stories"),
    n: int = 100,
    seed: int = 0,
    hostile: bool = False,
    num_fewshot: int = 0,
) -> Store:
    """Write runs to a store and return it.

    Args:
        path: Folder or fsspec URL of the store.
        runs: Names, from the worst model to the best; or name -> skill between 0 and 1.
        tasks: Any of `TASKS`.
        n: Documents of each task.
        seed: Seed of documents and answers; the documents are those of `seed`, whatever the runs.
        hostile: Put strings that would break a terminal, a page or a report into the texts.
        num_fewshot: Shown in the prompts, so another number cannot be paired.
    """
    store = Store(path)
    if not isinstance(runs, Mapping):
        runs = dict(zip(runs, np.linspace(0.45, 0.75, len(runs)), strict=True))
    for number, (name, skill) in enumerate(runs.items()):
        run_id = f"2026010{number + 1}-000000-{name}"
        samples = {task: TASKS[task](n, float(skill), _streams(task, name, seed)) for task in tasks}
        for task, rows in samples.items():
            _finish(run_id, task, rows, hostile, num_fewshot)
        store.write(_files(run_id, name, number, samples, num_fewshot))
    return store


def rewrite_run(
    store: Store, name: str, change: Callable[[str, list[Row]], list[Row]], run: str = "late"
) -> Store:
    """Add a copy of a run as `name`, its samples passed through `change(task, rows)`.

    The scores are those of the original.
    """
    manifest = store.resolve(run)
    folder = store.path_of(manifest.run_id)
    samples = {
        task: table(change(task, _read(store, store.samples_path(manifest.run_id, task))), SAMPLES)
        for task in manifest.tasks
    }
    store.write(
        RunFiles(
            manifest.model_copy(update={"run_id": f"20260109-000000-{name}", "name": name}),
            table(_read(store, f"{folder}/scores.parquet"), SCORES),
            samples,
            table(_read(store, f"{folder}/timings.parquet"), TIMINGS),
        )
    )
    return store


def _read(store: Store, path: str) -> list[Row]:
    rows: list[Row] = pq.read_table(path, filesystem=store.filesystem).to_pylist()
    return rows


def _streams(task: str, run: str, seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """One random stream for the documents, which runs share, and one for the run's answers."""
    shared = int(digest([task, seed]), 16)
    return np.random.default_rng(shared), np.random.default_rng([shared, int(digest(run), 16)])


Streams = tuple[np.random.Generator, np.random.Generator]


def _right(n: int, skill: float, streams: Streams, families: int | None = None) -> np.ndarray:
    """Whether each document is answered rightly; most of the chance is the document's own."""
    documents, answers = streams
    difficulty = documents.normal(size=n)
    if families:
        difficulty += documents.normal(size=families)[np.arange(n) % families]
    ability = np.log(skill / (1 - skill)) * 1.5
    return answers.random(n) < 1 / (1 + np.exp(-(ability - 1.5 * difficulty)))


def _choice(n: int, skill: float, streams: Streams, families: int | None = None) -> list[Row]:
    rows = []
    for i, right in enumerate(_right(n, skill, streams, families)):
        gold = i % 4
        lls = np.sort(streams[1].normal(-6, 1.5, 4))
        order = np.r_[np.delete(np.arange(4), gold)[streams[1].permutation(3)], gold]
        if not right:
            order[[2, 3]] = order[[3, 2]]
        scored = np.empty(4)
        scored[order] = lls
        choices = [PLACES[(i + k) % len(PLACES)] for k in range(4)]
        normalised = scored / [len(choice) for choice in choices]
        rows.append(
            {
                "doc": {"question": f"Where does baker {i} live?", "gold": gold},
                "category": PLACES[i % 3],
                "cluster": f"passage-{i % families}" if families else None,
                "target": choices[gold],
                "choices": choices,
                "loglikelihoods": scored.tolist(),
                "is_greedy": [False] * 4,
                "answer": choices[int(scored.argmax())],
                "statistics": {
                    "acc": (float(right),),
                    "acc_norm": (float(normalised.argmax() == gold),),
                },
            }
        )
    return rows


def _passages(n: int, skill: float, streams: Streams) -> list[Row]:
    return _choice(n, skill, streams, families=max(2, n // 5))


def _answers(n: int, skill: float, streams: Streams) -> list[Row]:
    rows = []
    for i, right in enumerate(_right(n, skill, streams)):
        target = PLACES[i % len(PLACES)]
        answer = target if right else PLACES[(i + 1) % len(PLACES)]
        rows.append(
            {
                "doc": {"question": f"Name the town of miller {i}."},
                "target": target,
                "responses": [f" {answer}.\n"],
                "answer": answer,
                "statistics": {"exact_match": (float(right),)},
            }
        )
    return rows


def _translation(n: int, skill: float, streams: Streams) -> list[Row]:
    documents, answers = streams
    rows = []
    for i in range(n):
        words = list(documents.choice(WORDS, 10))
        said = [w if answers.random() < skill else str(answers.choice(WORDS)) for w in words]
        target, answer = " ".join(words), " ".join(said)
        rows.append(
            {
                "doc": {"source": f"sentence {i}", "translation": target},
                "target": target,
                "responses": [answer],
                "answer": answer,
                "statistics": {"bleu": sample_statistics("bleu", (target, answer)) or ()},
            }
        )
    return rows


def _stories(n: int, skill: float, streams: Streams) -> list[Row]:
    documents, answers = streams
    rows = []
    for i in range(n):
        words = int(documents.integers(30, 120))
        text = " ".join(documents.choice(WORDS, words))
        nats = words * (5 - 3 * skill + documents.normal(0, 0.4) + answers.normal(0, 0.05))
        size = len(text.encode())
        rows.append(
            {
                "doc": {"text": text, "story": i},
                "target": text,
                "loglikelihoods": [-nats],
                "is_greedy": [False],
                "statistics": {
                    "word_perplexity": (-nats, float(words)),
                    "byte_perplexity": (-nats, float(size)),
                    "bits_per_byte": (-nats, float(size)),
                },
            }
        )
    return rows


def _latency(n: int, skill: float, streams: Streams) -> list[Row]:
    """Timings: a median of seconds, which is no function of sums, and their mean."""
    times = [float(streams[1].lognormal(-4, 0.2)) for _ in range(n)]
    return [
        {
            "doc": {"prompt_tokens": 16, "repeat": i},
            "responses": ["and so on"],
            "statistics": {"first_token_p50": (seconds,), "mean_s": (seconds,)},
        }
        for i, seconds in enumerate(times)
    ]


TASKS = {
    "facts": _choice,
    "passages": _passages,
    "answers": _answers,
    "translation": _translation,
    "stories": _stories,
    "latency": _latency,
}


def _finish(run_id: str, task: str, rows: list[Row], hostile: bool, num_fewshot: int) -> None:
    """Add what follows from the document: ids, hashes, prompt; and the hostile strings."""
    for i, row in enumerate(rows):
        if hostile:
            nasty = HOSTILE[i % len(HOSTILE)]
            row["doc"] = {**row["doc"], "note": nasty}
            row["target"] = f"{row.get('target', '')}{nasty}"
            row["answer"] = f"{row.get('answer', '')}{nasty}"
            row["category"] = nasty or None
            row["responses"] = [text + nasty for text in row.get("responses", [])]
        shots = "Example: ...\n\n" * num_fewshot
        prompt = f"{shots}{json.dumps(row['doc'], ensure_ascii=False)}\nAnswer:"
        row |= {
            "run_id": run_id,
            "task": task,
            "doc_id": i,
            "filter": row.get("filter", "none"),
            "doc_hash": digest(row["doc"]),
            "prompt_hash": digest(prompt),
            "prompt": prompt,
            "doc": json.dumps(row["doc"], ensure_ascii=False),
            "statistics": list(row["statistics"].items()),
        }


def _files(
    run_id: str, name: str, number: int, samples: dict[str, list[Row]], num_fewshot: int
) -> RunFiles:
    records = {
        task: TaskRecord(
            family="perplexity" if task == "stories" else task,
            config_hash=digest(task),
            data_hash=digest([row["doc_hash"] for row in rows]),
            num_fewshot=num_fewshot,
            documents=len(rows),
            requests=sum(max(1, len(row.get("choices", []))) for row in rows),
        )
        for task, rows in samples.items()
    }
    manifest = Manifest(
        run_id=run_id,
        name=name,
        created=f"2026-01-0{number + 1}T00:00:00+00:00",
        duration_s=12.5,
        model=ModelRecord(
            name=name, path=f"models/{name}", weights_hash=digest(name), tokenizer_hash="0" * 16
        ),
        tasks=records,
        settings={"tasks": list(samples), "seed": 1234},
    )
    timings = [
        {"run_id": run_id, "phase": phase, "total_s": seconds, "requests": 1}
        for phase, seconds in (("plan", 0.5), ("respond", 10.0), ("score", 0.7))
    ]
    scores = [
        _score(run_id, task, metric, rows, num_fewshot)
        for task, rows in samples.items()
        for metric, _ in rows[0]["statistics"]
    ]
    return RunFiles(
        manifest,
        table(scores, SCORES),
        {task: table(rows, SAMPLES) for task, rows in samples.items()},
        table(timings, TIMINGS),
    )


def _score(run_id: str, task: str, metric: str, rows: list[Row], num_fewshot: int) -> Row:
    aggregation = AGGREGATIONS.get(metric, "mean")
    statistics = np.array([dict(row["statistics"])[metric] for row in rows])
    score: Row = {
        "run_id": run_id,
        "task": task,
        "family": "perplexity" if task == "stories" else task,
        "metric": metric,
        "filter": rows[0]["filter"],
        "n": len(rows),
        "aggregation": aggregation,
        "higher_is_better": metric not in LOWER_IS_BETTER,
        "num_fewshot": num_fewshot,
        "unit": "seconds" if metric == "mean_s" else "",
    }
    if aggregation == "custom":
        return score | {"value": float(np.median(statistics))}
    found = estimate(statistics, aggregation, [row.get("cluster") for row in rows])
    return score | {
        "value": found.value,
        "stderr": found.stderr,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n_clusters": found.n_clusters,
        "interval": found.method,
    }
