"""What the tests of killed runs share: a warm process, a long task folder, a look at what is left.

Each run is a process of its own, killed by the kernel; only the three seconds of imports are done
once.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

TASKS = ("toy_choice", "toy_text", "toy_answer")


class Warm:
    """Starts `evalkit` processes quickly; see `tests.runner.warm`."""

    def __init__(self, cache):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.runner.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout.readline() == "ready\n"

    def run(self, folder, *argv, **options):
        """Run a command whose output and witness go into the folder; returns its outcome."""
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.out")))
        output, witness = folder / f"{number}.out", folder / f"{number}.witness"
        order = {"argv": list(map(str, argv)), "output": str(output), "witness": str(witness)}
        self._process.stdin.write(json.dumps({**order, **options}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        said = output.read_text() if output.is_file() else ""
        return Outcome(answer["code"], answer["seconds"], said, _batches(witness))

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)


class Outcome(NamedTuple):
    """How a process ended: exit code (negative for a signal), seconds, output, batches computed."""

    code: int
    seconds: float
    said: str
    batches: list[list[int]]

    @property
    def computed(self):
        return Counter(index for batch in self.batches for index in batch)


def _batches(witness):
    """Batches that were computed; a torn last line is one that nobody has seen."""
    if not witness.is_file():
        return []
    lines = witness.read_text().split("\n")[:-1]
    return [batch for line in lines if (batch := json.loads(line))]


def lengthen(task_folder, folder, times):
    """A copy of the toy tasks with every document asked `times` times, told apart by a number."""
    folder.mkdir()
    for file in task_folder.iterdir():
        text = file.read_text()
        if file.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
            text = "".join(
                json.dumps({k: f"{i} {v} {i}" if k in ("q", "text") else v for k, v in row.items()})
                + "\n"
                for i in range(times)
                for row in rows
            )
        (folder / file.name).write_text(text)
    return folder


def samples(store):
    """The samples of the store's only run by task, its id left out."""
    (manifest,) = Path(store).glob("*/run.json")
    found = {}
    for task in TASKS:
        table = pq.read_table(manifest.parent / "samples" / f"{task}.parquet").drop(["run_id"])
        keys = table.select(["doc_id", "filter"]).to_pylist()
        assert len({tuple(key.values()) for key in keys}) == len(keys), "a sample is there twice"
        found[task] = table
    return found


def same(a, b):
    return a.keys() == b.keys() and all(a[task].equals(b[task]) for task in a)
