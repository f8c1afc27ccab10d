"""Does a checkpoint pass against itself, whatever the batch size?

`python -m benchmarks.self_gate CHECKPOINT [--times 200] [--limit 40]`: measures the checkpoint
once, then again and again with batch sizes 1, 2, 3, ..., gates every run against the first with the
default rules (no primary metric may get worse), and writes reports/self-gate.md. Exits with 1
unless all passed.
"""

import argparse
import sys
import time
from pathlib import Path

from evalkit.gating import Verdict, gate
from evalkit.runner import execute, make_plan
from evalkit.settings import RunSettings

REPORTS = Path(__file__).parents[1] / "reports"
TASKS = ["micro_facts", "micro_tales", "micro_answers", "micro_reports", "micro_reviews"]
STORE = "memory://self-gate"


def main() -> None:
    """Parse, run, gate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--include-path", type=Path, action="append", default=[])
    parser.add_argument("--output", type=Path, default=REPORTS)
    chosen = parser.parse_args()
    settings = RunSettings.checked(
        model=chosen.model,
        tasks=TASKS,
        limit=chosen.limit,
        store=STORE,
        include_path=chosen.include_path,
    )
    plan = make_plan(settings)
    first = execute(plan).manifest
    started, passed, moved = time.perf_counter(), 0, 0
    for size in range(1, chosen.times + 1):
        changed = settings.model_copy(update={"batch_size": size})
        run = execute(make_plan(changed)).manifest
        result = gate(run.run_id, baseline=first.run_id, store=STORE)
        clean = all(check.verdict is Verdict.PASS for check in result.checks)
        passed += result.passed and clean
        moved += any(check.difference != 0 for check in result.checks)
        if not (result.passed and clean):
            print(f"batch size {size}: {result.headline}", flush=True)
        if size % 20 == 0:
            print(f"{passed} of {size} passed, {time.perf_counter() - started:.0f} s", flush=True)
    text = f"""# A checkpoint against itself

`python -m benchmarks.self_gate`: one checkpoint, {chosen.limit} documents each of
{", ".join(TASKS)}, measured with batch sizes 1 to {chosen.times} and gated against a first run of
the same checkpoint, whose batch size the engine chose; no primary metric may get worse.

**{passed} of {chosen.times} passed**, every rule of them with the verdict *pass*. In {moved} of the
runs a figure differed in its last digits, which is why the gate has a floor for numerical noise.
"""
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "self-gate.md").write_text(text, encoding="utf-8")
    print(f"{passed} of {chosen.times} passed; wrote {chosen.output}/self-gate.md.")
    sys.exit(passed != chosen.times)


if __name__ == "__main__":
    main()
