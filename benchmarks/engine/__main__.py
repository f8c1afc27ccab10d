"""evalkit's engine against lm-eval's HFLM: `make bench`.

Same requests, same threads, same precision, in turn, on a random GPT-2-small and on a checkpoint
of the mirror. Writes reports/engine.md and reports/engine.parquet after every workload; exits with
1 where a promise is broken, and says which.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.engine import compare as comparing
from benchmarks.engine.models import STORIES, random_gpt2_small
from benchmarks.engine.report import missed, print_row, write_report
from benchmarks.engine.worker import Side, clock_of
from benchmarks.engine.workloads import NAMES, Source, make_workload

# An accelerator answers what a CPU is asked in hundredths of a second.
ON_ACCELERATORS = 8
REPORTS = Path(__file__).parents[2] / "reports"


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.engine")
    parser.add_argument("--mirror", type=Path, default=os.environ.get("EVALKIT_MIRROR"))
    parser.add_argument("--models", nargs="+", default=["gpt2-small", "stories15M"])
    parser.add_argument("--workloads", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--output", type=Path, default=REPORTS)
    chosen = parser.parse_args()
    if not chosen.mirror or not Path(chosen.mirror).is_dir():
        sys.exit("The benchmark reads its data from a mirror: pass --mirror or set EVALKIT_MIRROR.")
    with tempfile.TemporaryDirectory() as folder:
        rows, peak = measure(chosen, Path(folder))
        run = whole_run(Path(folder) / "gpt2-small", chosen) if chosen.device == "cpu" else None
    write_report(rows, peak, run, chosen)
    short = missed(rows, run, chosen)
    print("\n".join(short))
    sys.exit(1 if short else 0)


def measure(
    chosen: argparse.Namespace, folder: Path
) -> tuple[list[comparing.Row], tuple[float, float]]:
    """Every workload on every model, and the machine's peak in GFLOP per CPU and wall second."""
    mirror, scale = Path(chosen.mirror), 1 if chosen.device == "cpu" else ON_ACCELERATORS
    stories = mirror / STORIES
    models = {"gpt2-small": random_gpt2_small(folder, stories), "stories15M": stories}
    plain = Side("evalkit", "", chosen.threads, chosen.device, chosen.dtype)
    with comparing.child(plain) as probe:
        peak = probe.call("matmul_peak")
    print(f"matrix products: {peak[0]:.0f} GFLOP per CPU s, {peak[1]:.0f} per s", flush=True)
    rows = []
    for name in chosen.models:
        side = dataclasses.replace(plain, model=str(models[name]))
        for workload_name in chosen.workloads:
            workload = make_workload(workload_name, Source(models[name], mirror, scale))
            counted = peak[0] if clock_of(side.device) == "cpu_s" else peak[1]
            row = comparing.compare(workload, side, counted, chosen.repeats, name)
            rows.append(row)
            print_row(row, clock_of(side.device))
            write_report(rows, peak, None, chosen)
    return rows, peak


def whole_run(model: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """What `benchmarks.engine.overhead` prints at its second start."""
    command = [sys.executable, "-m", "benchmarks.engine.overhead", str(model), str(chosen.mirror)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(chosen.threads)}
    for documents in ("10", "500"):
        done = subprocess.run(  # noqa: S603
            [*command, documents], env=environment, capture_output=True, text=True, check=True
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(found, flush=True)
    return found


if __name__ == "__main__":
    main()
