"""The benchmark's report: a table to read and a Parquet file to compute with."""

import argparse
import dataclasses
import platform
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tabulate import tabulate

from benchmarks.engine.compare import Row
from benchmarks.engine.worker import clock_of

GIGA = 1e9
# The promises that are no floors; a sum over thousands of tokens is judged by its relative error.
DIFFERENCE, RELATIVE = 1e-3, 1e-6
SHARE_OF_PEAK, OUTSIDE, FIRST_FORWARD_S = 0.6, 0.1, 4.0


def write_report(
    rows: list[Row],
    peak: tuple[float, float],
    run: dict[str, Any] | None,
    chosen: argparse.Namespace,
) -> None:
    """Write engine.md and engine.parquet."""
    output: Path = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    name = "engine" if chosen.device == "cpu" else f"engine-{chosen.device}-{chosen.dtype}"
    frame = pd.DataFrame([dataclasses.asdict(row) for row in rows])
    frame["peak_gflop_per_cpu_s"] = peak[0]
    frame.to_parquet(output / f"{name}.parquet")
    (output / f"{name}.md").write_text(
        _text(rows, peak, chosen) + _whole_run(run) + _missed(missed(rows, run, chosen)),
        encoding="utf-8",
    )


def print_row(row: Row, clock: str) -> None:
    """The row on one line; `clock` is what its seconds are of."""
    cells = zip(_HEADER, _cells(row, clock), strict=True)
    print(" | ".join(f"{k} {v}" for k, v in cells), flush=True)


_HEADER = [
    "model",
    "workload",
    "CPU ratio",
    "floor",
    "at the peak",
    "wall ratio",
    "seconds",
    "HFLM's (batch)",
    "largest difference (relative)",
    "flipped",
    "tokens computed / requested",
    "HFLM computed",
    "GFLOP/s (share of peak)",
    "peak GB (working)",
    "HFLM peak GB (working)",
]


def _cells(row: Row, clock: str) -> list[str]:
    gap = ""
    if row.largest_difference is not None:
        gap = f"{row.largest_difference:.1e} ({row.relative_difference:.0e})"
    return [
        row.model,
        row.workload,
        f"{row.cpu_ratio:.1f}",
        "" if row.floor is None else f"{row.floor:g}",
        f"{row.ratio_at_peak:.1f}",
        f"{row.wall_ratio:.1f}",
        f"{getattr(row, f'evalkit_{clock}'):.2f}",
        f"{getattr(row, f'hflm_{clock}'):.2f} ({row.hflm_batch_size})",
        gap,
        f"{row.flipped} of {row.compared}",
        f"{row.tokens_computed:,} / {row.tokens_requested:,}",
        f"{row.hflm_tokens_computed:,}",
        f"{row.gflop_per_s:,.0f} ({row.share_of_peak:.0%})",
        f"{row.evalkit_peak_bytes / GIGA:.2f} ({row.evalkit_working_bytes / GIGA:.2f})",
        f"{row.hflm_peak_bytes / GIGA:.2f} ({row.hflm_working_bytes / GIGA:.2f})",
    ]


def _whole_run(run: dict[str, Any] | None) -> str:
    if run is None:
        return ""
    shares = ", ".join(f"{name} {share:.1%}" for name, share in run["shares"].items())
    return f"""
## A whole run

`evalkit run` over HellaSwag's first {run["requests"] // 4} documents ({run["requests"]:,} requests)
on the random GPT-2-small, {run["cpu_s"]:.0f} CPU seconds: {shares}. The first forward pass began
{run["first_forward_s"]:.1f} s after the start ({run["first_forward_cpu_s"]:.1f} CPU seconds);
it is the self-check's, a part of loading.
"""


def missed(rows: list[Row], run: dict[str, Any] | None, chosen: argparse.Namespace) -> list[str]:
    """What falls short, a sentence each: equal figures in float32, and speed on a CPU."""
    is_exact, is_cpu = chosen.dtype == "float32", chosen.device == "cpu"
    found = []
    for row in rows:
        name = f"{row.model}, {row.workload}"
        if row.floor is not None and row.cpu_ratio < row.floor:
            found.append(
                f"{name}: {row.cpu_ratio:.1f} times HFLM, floor {row.floor:g}, the matrix products "
                f"alone at the machine's peak {row.ratio_at_peak:.1f}"
            )
        if is_exact and row.flipped:
            found.append(f"{name}: {row.flipped} answers flipped")
        gap, relative = row.largest_difference or 0.0, row.relative_difference or 0.0
        if is_exact and gap > DIFFERENCE and relative > RELATIVE:
            found.append(f"{name}: log-likelihoods differ by {gap:.1e}")
        if row.evalkit_working_bytes > row.hflm_working_bytes / 2:
            found.append(f"{name}: working memory above half of HFLM's")
        if is_cpu and row.model == "gpt2-small" and row.share_of_peak < SHARE_OF_PEAK:
            found.append(f"{name}: {row.share_of_peak:.0%} of the machine's matmul peak")
    if run is not None and run["shares"]["planning, tokenizing, scoring, writing"] > OUTSIDE:
        found.append("a whole run: more than 10 % outside the forward passes")
    if run is not None and run["first_forward_s"] > FIRST_FORWARD_S:
        found.append(f"a whole run: first forward pass after {run['first_forward_s']:.1f} s")
    return found


def _missed(lines: list[str]) -> str:
    listed = "".join(f"- {line}\n" for line in lines) or "Nothing.\n"
    return f"\n## What falls short\n\n{listed}"


def _text(rows: list[Row], peak: tuple[float, float], chosen: argparse.Namespace) -> str:
    clock = clock_of(chosen.device)
    table = tabulate([_cells(row, clock) for row in rows], _HEADER, "github", disable_numparse=True)
    return f"""# The engine against lm-eval's HFLM

`make bench` (`python -m benchmarks.engine --mirror MIRROR`), {chosen.dtype} on {_machine(chosen)},
median of {chosen.repeats} passes in turn{_APART[clock]}; HFLM at the best of a few batch sizes.

The machine's matrix products reach {peak[0]:,.0f} GFLOP per CPU second and {peak[1]:,.0f} per
second; the share of that peak counts the model's linear layers only, attention not at all.
{_SECONDS[clock]}

{table}

A ratio is HFLM's seconds over evalkit's; *at the peak* is what evalkit's matrix products alone
would reach at the machine's peak, so that a floor above it cannot be met there. *Tokens requested*
are those of all requests, each for itself; *computed* are the positions that went through the
model. A flipped answer is a document whose likeliest choice, or whose generated text, is another.
*Working* memory is what a pass needs beyond the libraries and the weights, which both engines need
alike. The contexts of stories15M end at 256 tokens, so that no 5-shot preamble fits and the prompts
share nothing.
"""


_APART = {"cpu_s": ",\neach engine in a process of its own", "wall_s": ""}
_SECONDS = {
    "cpu_s": "Seconds, floors and the share of the peak are of CPU time.",
    "wall_s": "Seconds and the share of the peak are of the clock on the wall.",
}


def _machine(chosen: argparse.Namespace) -> str:
    if chosen.device == "cpu":
        capability = torch.backends.cpu.get_cpu_capability()
        return f"{chosen.threads} threads of a CPU ({platform.machine()}, {capability})"
    return str(torch.cuda.get_device_name(chosen.device))
