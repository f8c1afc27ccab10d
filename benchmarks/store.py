"""How quick a large store is: makes one, asks it, writes reports/store.md.

    python -m benchmarks.store [--folder PATH] [--runs 2000] [--rows 10000000]

A store of 2,000 runs with 100 scores each is written run by run through `Store.write`; a samples
table of 10 million rows is written as one task of one run. Each question is asked in a process of
its own, as a user would, and timed without the imports.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
from evalkit.results.schema import conform
from evalkit.results.store import SAMPLE_ROWS
from evalkit.types import digest

ROOT = Path(__file__).parents[1]
TASKS = 50
METRICS = ("acc", "acc_norm")
BIG = "big"
REPEATS = 5

QUESTIONS = {
    "leaderboard, no index": (
        "shutil.rmtree(f'{folder}/runs/.index', ignore_errors=True)",
        "b = leaderboard(overview(Store(f'{folder}/runs')).scores); n = len(b)",
    ),
    "leaderboard": ("", "b = leaderboard(overview(Store(f'{folder}/runs')).scores); n = len(b)"),
    "evalkit.load_scores, all": ("", "n = len(load_scores(f'{folder}/runs'))"),
    "evalkit.load_scores, one task": ("", "n = len(load_scores(f'{folder}/runs', task='task_07'))"),
    "one page of samples, by load_samples": (
        "low = ROWS // 2",
        "n = len(load_samples(f'{folder}/samples', 'latest', 'big', first=low, last=low + 49))",
    ),
    "one page of samples, by sample_rows": (
        "low = ROWS // 3",
        "n = len(sample_rows(Store(f'{folder}/samples'), 'big', 'big', 'none', "
        "range(low, low + 50)))",
    ),
    "value of every sample, for the dashboard's filters": (
        "score = pandas.Series({'metric': 'acc', 'filter': 'none', 'aggregation': 'mean', "
        "'higher_is_better': True})",
        "n = len(sample_index(Store(f'{folder}/samples'), 'big', 'big', score))",
    ),
}
LIMITS = {"leaderboard": 1.0, "one page of samples, by load_samples": 1.0}


def make_runs(folder: Path, count: int) -> float:
    """Write the runs through the store's own way; returns the seconds it took."""
    store, random = Store(folder), np.random.default_rng(1)
    started = time.perf_counter()
    for number in range(count):
        run_id = f"2026{number:05d}-run"
        tasks = [f"task_{i:02d}" for i in range(TASKS)]
        values = random.uniform(0.3, 0.8, (TASKS, len(METRICS)))
        scores = [
            {
                "run_id": run_id, "task": task, "family": "made", "metric": metric,
                "filter": "none", "value": values[i, j], "stderr": 0.01,
                "ci_low": values[i, j] - 0.02, "ci_high": values[i, j] + 0.02, "n": 1000,
                "interval": "wilson", "aggregation": "mean", "higher_is_better": True,
                "num_fewshot": 0, "unit": "",
            }
            for i, task in enumerate(tasks)
            for j, metric in enumerate(METRICS)
        ]  # fmt: skip
        manifest = Manifest(
            run_id=run_id,
            name=f"step-{number}",
            created=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)).isoformat(),
            duration_s=60.0,
            model=ModelRecord(
                name="made", path="made", weights_hash=digest(number), tokenizer_hash="t"
            ),
            tasks={
                task: TaskRecord(
                    family="made", config_hash=digest(task), data_hash=digest(task),
                    documents=1000, requests=4000,
                )
                for task in tasks
            },
        )  # fmt: skip
        timings = [{"run_id": run_id, "phase": "respond", "total_s": 60.0}]
        store.write(RunFiles(manifest, table(scores, SCORES), {}, table(timings, TIMINGS)))
    return time.perf_counter() - started


def make_samples(folder: Path, rows: int) -> float:
    """One run whose one task has so many samples; returns the seconds it took."""
    store, random = Store(folder), np.random.default_rng(2)
    record = TaskRecord(
        family="made", config_hash="c", data_hash="d", documents=rows, requests=rows
    )
    manifest = Manifest(
        run_id=BIG,
        name=BIG,
        created="2026-01-01T00:00:00+00:00",
        duration_s=1.0,
        model=ModelRecord(name="made", path="made", weights_hash="w", tokenizer_hash="t"),
        tasks={BIG: record},
    )
    started = time.perf_counter()
    store.write(RunFiles(manifest, SCORES.empty_table(), {}, TIMINGS.empty_table()))
    path = Path(store.samples_path(BIG, BIG))
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, SAMPLES, compression="zstd") as writer:
        for low in range(0, rows, 2**18):
            part = _samples(low, min(low + 2**18, rows), random)
            writer.write_table(part, row_group_size=SAMPLE_ROWS)
    return time.perf_counter() - started


def _samples(low: int, high: int, random: np.random.Generator) -> pa.Table:
    count = high - low
    hashes = np.char.mod("%016x", random.integers(0, 2**63, count))
    right = random.integers(0, 2, count).astype(float)
    prompts = [f"Question {i}: which of the four is right? Answer:" for i in range(low, high)]
    statistics = [[("acc", [value])] for value in right]
    known = {
        "run_id": pa.array([BIG] * count), "task": pa.array([BIG] * count),
        "doc_id": pa.array(np.arange(low, high)), "filter": pa.array(["none"] * count),
        "doc_hash": pa.array(hashes), "prompt_hash": pa.array(hashes[::-1]),
        "doc": pa.array([f'{{"q": "{prompt}"}}' for prompt in prompts]),
        "prompt": pa.array(prompts), "target": pa.array(["a"] * count),
        "statistics": pa.array(statistics, SAMPLES.field("statistics").type),
    }  # fmt: skip
    return conform(pa.table(known), SAMPLES)


def ask(folder: Path, name: str, rows: int) -> dict[str, float]:
    """Seconds and bytes of one question, in a process of its own: first time, then the median."""
    before, question = QUESTIONS[name]
    code = (
        "import json, resource, shutil, statistics, sys, time\n"
        "import pandas, pyarrow.dataset\n"
        "from evalkit.results import Store, leaderboard, overview, load_scores, load_samples\n"
        "from evalkit.results import sample_index, sample_rows\n"
        f"folder, ROWS, taken = {str(folder)!r}, {rows}, []\n"
        f"for _ in range({REPEATS}):\n"
        f"    {before or 'pass'}\n"
        "    started = time.perf_counter()\n"
        f"    {question}\n"
        "    taken.append(time.perf_counter() - started)\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(json.dumps({'first': taken[0], 'median': statistics.median(taken), 'rows': n, "
        "'memory': peak}))"
    )
    is_cold = _forget(folder)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return {**json.loads(done.stdout), "cold": is_cold}


def _forget(folder: Path) -> bool:
    """Let the system drop the store's files from its cache, so that they are read from disk."""
    if not hasattr(os, "posix_fadvise"):
        return False
    os.sync()
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench-store")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--keep", action="store_true", help="Keep the store it has made.")
    asked = parser.parse_args()
    folder = asked.folder
    if not folder.exists():
        runs_s = make_runs(folder / "runs", asked.runs)
        samples_s = make_samples(folder / "samples", asked.rows)
        (folder / "made.json").write_text(json.dumps([runs_s, samples_s]))
    runs_s, samples_s = json.loads((folder / "made.json").read_text())
    found = {name: ask(folder, name, asked.rows) for name in QUESTIONS}
    report = _report(asked, folder, runs_s, samples_s, found)
    (ROOT / "reports" / "store.md").write_text(report)
    print(report)
    if not asked.keep:
        shutil.rmtree(folder)
    slow = [name for name, most in LIMITS.items() if found[name]["median"] > most]
    sys.exit(f"too slow: {', '.join(slow)}" if slow else 0)


def _report(
    asked: argparse.Namespace,
    folder: Path,
    runs_s: float,
    samples_s: float,
    found: dict[str, dict[str, float]],
) -> str:
    size = sum(file.stat().st_size for file in (folder / "samples").rglob("*.parquet"))
    index = sum(file.stat().st_size for file in (folder / "runs" / ".index").glob("*"))
    cold = "files not in the page cache" if found["leaderboard"]["cold"] else "page cache warm"
    lines = [
        "# How quick a large store is",
        "",
        f"Measured by `make bench-store` on {os.cpu_count()} cores. A store of {asked.runs:,} runs "
        f"with {asked.runs * TASKS * len(METRICS):,} scores, written run by run in {runs_s:.0f} s; "
        f"and a samples table of {asked.rows:,} rows, one task of one run, {size / 1e6:,.0f} MB, "
        f"written in {samples_s:.0f} s. The index of the scores and manifests is "
        f"{index / 1e6:.1f} MB; it is a cache that readers write.",
        "",
        f"Each question has a process of its own, imports not counted; first: {cold}; median: of "
        f"{REPEATS} times in that process.",
        "",
        "| Question | Rows | First, s | Median, s | Peak memory, MB |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {one['rows']:,} | {one['first']:.2f} | {one['median']:.3f} "
            f"| {one['memory']:,.0f} |"
            for name, one in found.items()
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
