"""lm-eval's own results and samples folders, brought into a store as runs."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
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
from evalkit.runner.lm_eval_samples import (
    KINDS,
    MALFORMED,
    Row,
    aggregation_of,
    read_samples,
    reason,
)
from evalkit.stats import Estimate, estimate
from evalkit.types import RequestKind, digest

_FAMILIES = {
    "multiple_choice": "multiple_choice",
    "loglikelihood": "language_modelling",
    "loglikelihood_rolling": "language_modelling",
    "generate_until": "generation",
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
    except DataError:
        raise
    except MALFORMED as error:
        raise DataError(f"{file} is no results file of lm-eval: {reason(error)}.") from error


def _read_run(file: Path, content: Row, name: str | None, tags: dict[str, str]) -> RunFiles:
    tasks = [task for task in content["results"] if task in content["configs"]]
    samples = {task: read_samples(file, task, content["configs"][task]) for task in tasks}
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
        request_kind=KINDS.get(str(config.get("output_type")), RequestKind.LOGLIKELIHOOD),
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
        aggregation = aggregation_of(content["configs"][task], metric)
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
