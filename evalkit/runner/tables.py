"""Samples, scores and timings as rows of the store's schemas."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from evalkit.results import SAMPLES, SCORES, TIMINGS, table
from evalkit.runner.plan import PlannedTask
from evalkit.types import RequestKind, Sample, Score


def scores_table(run_id: str, scores: Iterable[Score], shots: dict[str, int]) -> pa.Table:
    """Scores as Arrow; `shots` gives the few-shot number of each task, and of suites with one."""
    rows = [{"run_id": run_id, "num_fewshot": shots.get(s.task), **asdict(s)} for s in scores]
    return table(rows, SCORES)


def samples_table(run_id: str, samples: Iterable[Sample]) -> pa.Table:
    """Samples of one task as Arrow."""
    return table([_sample_row(run_id, sample) for sample in samples], SAMPLES)


def timings_table(
    run_id: str, phases: dict[str, float], timed: Iterable[tuple[PlannedTask, list[Sample]]]
) -> pa.Table:
    """Seconds of each phase, and one row for each request of a latency task."""
    rows: list[dict[str, Any]] = [
        {"run_id": run_id, "phase": phase, "total_s": seconds} for phase, seconds in phases.items()
    ]
    for planned, samples in timed:
        for sample in samples:
            response = sample.responses[-1]
            if response.total_s is not None:
                rows.append(
                    {
                        "run_id": run_id,
                        "phase": "request",
                        "task": planned.task.name,
                        "setting": None if sample.filter == "none" else sample.filter,
                        "request_id": sample.document.doc_id,
                        "requests": 1,
                        "prompt_tokens": response.prompt_tokens,
                        "output_tokens": response.output_tokens,
                        "first_token_s": response.first_token_s,
                        "total_s": response.total_s,
                        "token_s": response.token_s,
                    }
                )
    return table(rows, TIMINGS)


def _sample_row(run_id: str, sample: Sample) -> dict[str, Any]:
    document = sample.document
    return {
        "run_id": run_id,
        "task": document.task,
        "doc_id": document.doc_id,
        "filter": sample.filter,
        "doc_hash": document.doc_hash,
        "prompt_hash": document.prompt_hash,
        "cluster": document.cluster,
        "category": document.category,
        "doc": json.dumps(document.content, ensure_ascii=False, default=str),
        "prompt": _prompt(sample),
        "target": document.target,
        "choices": list(document.choices),
        "loglikelihoods": [
            r.loglikelihood for r in sample.responses if r.loglikelihood is not None
        ],
        "is_greedy": [r.is_greedy for r in sample.responses if r.loglikelihood is not None],
        "responses": [r.text for r in sample.responses if r.text is not None],
        "prompt_tokens": [r.prompt_tokens for r in sample.responses],
        "output_tokens": [r.output_tokens for r in sample.responses],
        "answer": sample.answer,
        "statistics": [(name, list(values)) for name, values in sample.statistics.items()],
    }


def _prompt(sample: Sample) -> str:
    first = sample.document.requests[0]
    return first.continuation if first.kind is RequestKind.ROLLING else first.context
