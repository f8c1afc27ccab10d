"""lm-eval's own results and samples folders, brought into a store as runs."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from evalkit.errors import DataError
from evalkit.metrics.statistics import sample_statistics
from evalkit.redact import redacted, without_secrets
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
from evalkit.results.export import samples_name
from evalkit.stats import Estimate, estimate
from evalkit.types import Decoding, Document, Request, RequestKind, digest

Row = dict[str, Any]

_FAMILIES = {
    "multiple_choice": "multiple_choice",
    "loglikelihood": "language_modelling",
    "loglikelihood_rolling": "language_modelling",
    "generate_until": "generation",
}
_KINDS = {
    "loglikelihood_rolling": RequestKind.ROLLING,
    "generate_until": RequestKind.GENERATE,
}


def import_lm_eval(
    path: Path, store: Store, name: str | None = None, tags: Mapping[str, str] | None = None
) -> list[tuple[Manifest, bool]]:
    """Bring lm-eval's results into a store.

    Args:
        path: A `results_*.json` file, or a folder that holds some at any depth; samples files
            beside a results file become its samples.
        store: Where the runs go.
        name: Name of the runs; by default the model's.
        tags: Their tags.

    Returns:
        Each run's manifest, and whether it is new; a run that is in the store already stays.

    Raises:
        DataError: There are no results, or a file is not what lm-eval writes.
    """
    files = [path] if path.is_file() else sorted(path.rglob("results_*.json"))
    if not files:
        raise DataError(f"{path} holds no lm-eval results (results_*.json).")
    made = [_run(file, name, dict(tags or {})) for file in files]
    found = []
    for run in made:
        is_new = not store.holds(run.manifest.run_id)
        if is_new:
            store.write(run)
        found.append((run.manifest, is_new))
    return found


def _run(file: Path, name: str | None, tags: dict[str, str]) -> RunFiles:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return _read_run(file, content, name, tags)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        pa.ArrowException,
    ) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file} is no results file of lm-eval: {reason}.") from error


def _read_run(file: Path, content: Row, name: str | None, tags: dict[str, str]) -> RunFiles:
    tasks = [task for task in content["results"] if task in content["configs"]]
    samples = {task: _samples(file, task, content["configs"][task]) for task in tasks}
    created = datetime.fromtimestamp(float(content["date"]), UTC)
    model = without_secrets(str(content.get("model_name") or "unknown"))
    shown = name or Path(model).name or model
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", Path(model).name).strip("-.")[:48] or "run"
    run_id = f"{created:%Y%m%dT%H%M%S}-{slug}-{digest(content)[:4]}"
    for task, rows in samples.items():
        for row in rows:
            row |= {"run_id": run_id, "task": task}
    config = content.get("config") or {}
    scores = [
        {"run_id": run_id, **score}
        for task in tasks
        for score in _scores(task, content, samples[task])
    ]
    manifest = Manifest(
        run_id=run_id,
        name=shown,
        created=created.isoformat(timespec="seconds"),
        duration_s=float(content.get("total_evaluation_time_seconds") or 0.0),
        tags=tags,
        model=ModelRecord(
            name=Path(model).name or model,
            path=model,
            weights_hash=str(config.get("model_sha") or digest([model, config.get("model_args")])),
            tokenizer_hash="unknown",
            parameters=config.get("model_num_parameters"),
        ),
        tasks={task: _record(content, task, samples[task]) for task in tasks},
        suites=_suites(content, tasks),
        settings=redacted(config),
        environment={
            "libraries": {
                library: content[f"{library}_version"]
                for library in ("lm_eval", "transformers")
                if content.get(f"{library}_version")
            },
            "imported_from": f"lm-eval, {file.name}",
            "git_commit": content.get("git_hash"),
        },
    )
    made = {task: table(rows, SAMPLES) for task, rows in samples.items()}
    return RunFiles(manifest, table(scores, SCORES), made, TIMINGS.empty_table())


def _record(content: Row, task: str, samples: list[Row]) -> TaskRecord:
    config = content["configs"][task]
    metadata = config.get("metadata") or {}
    hashes = [row["doc_hash"] for row in samples if row["filter"] == samples[0]["filter"]]
    asked = (content.get("n-samples") or {}).get(task) or {}
    version = (content.get("versions") or {}).get(task)
    return TaskRecord(
        family=str(
            metadata.get("family") or _FAMILIES.get(str(config.get("output_type")), "other")
        ),
        version=None if version is None else str(version),
        config_hash=digest({k: v for k, v in config.items() if k not in ("metadata", "task")}),
        data_hash=digest(hashes),
        request_kind=_KINDS.get(str(config.get("output_type")), RequestKind.LOGLIKELIHOOD),
        num_fewshot=int((content.get("n-shot") or {}).get(task) or 0),
        documents=int(asked.get("effective") or len(hashes)),
        requests=sum(len(row["prompt_tokens"]) for row in samples),
        source="lm-eval",
    )


def _suites(content: Row, tasks: list[str]) -> dict[str, list[str]]:
    groups = content.get("group_subtasks") or {}
    members = {name: [task for task in inner if task in tasks] for name, inner in groups.items()}
    return {name: inner for name, inner in members.items() if inner and name not in tasks}


def _scores(task: str, content: Row, samples: list[Row]) -> Iterator[Row]:
    """lm-eval's figures; intervals from the samples where they give the same value."""
    record, values = _record(content, task, samples), content["results"][task]
    better = (content.get("higher_is_better") or {}).get(task) or {}
    for key, value in values.items():
        metric, comma, filter_name = key.partition(",")
        if not comma or metric.endswith("_stderr") or not _is_number(value):
            continue
        aggregation = _aggregation(content["configs"][task], metric)
        rows = [row for row in samples if row["filter"] == filter_name]
        found, note = _interval(rows, metric, aggregation, value)
        stderr = values.get(f"{metric}_stderr,{filter_name}")
        yield {
            "task": task,
            "family": record.family,
            "metric": metric,
            "filter": filter_name,
            "value": float(value) if math.isfinite(value) else None,
            "stderr": float(stderr) if _is_number(stderr) else found and found.stderr,
            "ci_low": found and found.ci_low,
            "ci_high": found and found.ci_high,
            "n": len(rows) or record.documents,
            "interval": found and found.method,
            "aggregation": aggregation,
            "higher_is_better": better.get(metric),
            "num_fewshot": record.num_fewshot,
            "unit": "",
            "note": note,
        }


def _interval(
    rows: list[Row], metric: str, aggregation: str, value: float
) -> tuple[Estimate | None, str | None]:
    statistics = [dict(row["statistics"]).get(metric) or () for row in rows]
    if not rows or not all(statistics):
        return None, "imported without samples, so without an interval" if not rows else None
    found = estimate(statistics, aggregation)
    if found.value is None or not math.isclose(found.value, value, rel_tol=1e-6, abs_tol=1e-9):
        return None, "lm-eval's value is not the aggregate of its samples; no interval"
    return found, found.warning


def _samples(file: Path, task: str, config: Row) -> list[Row]:
    stamp = file.name.removeprefix("results_").removesuffix(".json")
    beside = file.with_name(f"samples_{samples_name(task)}_{stamp}.jsonl")
    if not beside.is_file():
        return []
    with beside.open(encoding="utf-8") as lines:
        return [_sample(task, config, json.loads(line)) for line in lines if line.strip()]


def _sample(task: str, config: Row, line: Row) -> Row:
    kind = _KINDS.get(str(config.get("output_type")), RequestKind.LOGLIKELIHOOD)
    arguments = [list(found.values()) for found in line["arguments"].values()]
    document = Document(
        task=task,
        doc_id=int(line["doc_id"]),
        content=line["doc"] if isinstance(line["doc"], dict) else {"text": str(line["doc"])},
        requests=tuple(_request(kind, parts) for parts in arguments),
    )
    scored = kind is not RequestKind.GENERATE
    several = len(arguments) > 1
    choices = [r.continuation for r in document.requests] if scored and several else []
    answers = [answer for answers in line["resps"] for answer in answers]
    pairs = [a if isinstance(a, list) else [a, None] for a in answers] if scored else []
    values = [float(pair[0]) for pair in pairs]
    first = document.requests[0]
    return {
        "doc_id": document.doc_id,
        "filter": str(line.get("filter") or "none"),
        "doc_hash": document.doc_hash,
        "prompt_hash": document.prompt_hash,
        "doc": json.dumps(line["doc"], ensure_ascii=False),
        "prompt": first.continuation if kind is RequestKind.ROLLING else first.context,
        "target": _target(str(line.get("target", "")), choices),
        "choices": choices,
        "loglikelihoods": values,
        "is_greedy": [None if greedy is None else str(greedy) == "True" for _, greedy in pairs],
        "responses": [] if scored else [str(answer) for answer in answers],
        "prompt_tokens": [None] * len(arguments),
        "output_tokens": [None] * len(arguments),
        "answer": choices[values.index(max(values))]
        if choices and len(values) == len(choices)
        else ("" if scored else _text(line["filtered_resps"])),
        "statistics": [
            (metric, list(_statistics(config, metric, line[metric]))) for metric in line["metrics"]
        ],
    }


def _request(kind: RequestKind, parts: list[Any]) -> Request:
    """As the registry makes it, so that its hash is that of an own run's request."""
    if kind is RequestKind.ROLLING:
        return Request(kind, "", str(parts[0]))
    if kind is not RequestKind.GENERATE:
        return Request(kind, str(parts[0]), str(parts[1]) if len(parts) > 1 else "")
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], dict) else {}
    until = options.get("until") or []
    decoding = Decoding(
        until=tuple(stop for stop in ([until] if isinstance(until, str) else until) if stop),
        max_new_tokens=int(options.get("max_gen_toks", 256)),
        temperature=float(options.get("temperature", 1.0)) if options.get("do_sample") else 0.0,
        top_p=float(options.get("top_p", 1.0)),
    )
    return Request(kind, str(parts[0]), decoding=decoding)


def _statistics(config: Row, metric: str, item: Any) -> tuple[float, ...]:
    try:
        return sample_statistics(_aggregation(config, metric), item) or ()
    except (TypeError, ValueError):
        return ()


def _aggregation(config: Row, metric: str) -> str:
    """The name of a metric's aggregation: the task's own, or lm-eval's default for the metric."""
    from lm_eval.api.metrics import mean  # noqa: F401 - fills the registry
    from lm_eval.api.registry import METRIC_AGGREGATION_REGISTRY

    for entry in config.get("metric_list") or []:
        if entry.get("metric") == metric and isinstance(entry.get("aggregation"), str):
            return str(entry["aggregation"])
    default = METRIC_AGGREGATION_REGISTRY.get(metric)
    return getattr(default, "__name__", "mean") if default is not None else "mean"


def _target(target: str, choices: list[str]) -> str:
    place = int(target) if target.isdecimal() else -1
    return choices[place].strip() if 0 <= place < len(choices) else target


def _text(filtered: list[Any]) -> str:
    first = filtered[0] if filtered else ""
    return str(first[0] if isinstance(first, list) and len(first) == 1 else first)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
