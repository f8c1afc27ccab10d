"""Runs in formats that other programs read: CSV, JSON, Markdown, lm-eval's results folders."""

import json
import math
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from evalkit.results.manifest import Manifest
from evalkit.results.schema import SCORES
from evalkit.results.store import Store
from evalkit.results.text import markdown_table, number, span, visible
from evalkit.types import digest

FORMATS = ("csv", "json", "markdown", "lm-eval")
_RUN_COLUMNS = ("run_id", "name", "created", "model")
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = re.compile(r"^[\s]*[=+\-@\t\r\n|%]")


def to_csv(store: Store, runs: Sequence[Manifest]) -> str:
    """One line a score, with its run; no text in it is a formula to a spreadsheet."""
    frame = _scores(store, runs)
    for name in frame.columns[~frame.dtypes.map(pd.api.types.is_numeric_dtype)]:
        frame[name] = frame[name].map(inert, na_action="ignore")
    return str(frame.to_csv(index=False, lineterminator="\n"))


def to_json(store: Store, runs: Sequence[Manifest]) -> str:
    """A list of runs: the manifest, and `scores`; what is undefined is null."""
    found = [
        {
            **run.model_dump(mode="json"),
            "scores": [_finite(row) for row in store.score_rows(run.run_id)],
        }
        for run in runs
    ]
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def to_markdown(store: Store, runs: Sequence[Manifest]) -> str:
    """One table row a score; what strangers wrote is shown, never interpreted."""
    headers = ("Run", "Task", "Metric", "Filter", "Value", "95 % interval", "n")
    rows = [
        (
            run.name,
            str(row["task"]),
            str(row["metric"]),
            str(row["filter"] or "none"),
            number(row["value"]),
            span(row["ci_low"], row["ci_high"]),
            str(row["n"] or ""),
        )
        for run in runs
        for row in store.score_rows(run.run_id)
    ]
    return markdown_table(headers, rows) + "\n"


def to_lm_eval(store: Store, runs: Sequence[Manifest], folder: Path) -> list[Path]:
    """Write runs as lm-eval's own output folders; returns the results files.

    Each run becomes `<folder>/<model>/results_<time>.json` and, for each task,
    `samples_<task>_<time>.jsonl` beside it, with the fields of lm-eval 0.4.

    Raises:
        DataError: A run's files are damaged.
        OSError: The folder cannot be written.
    """
    return [_write_lm_eval(store, run, folder) for run in runs]


def inert(text: object) -> str:
    """Text on one line, without control characters, that no spreadsheet takes for a formula."""
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown


def samples_name(task: str) -> str:
    """lm-eval's name of a task in file names; a long one is cut."""
    name = re.sub(r"\W", "_", task)
    return name if len(name.encode()) <= 150 else f"{name[:40]}_{digest(task)}"


def _scores(store: Store, runs: Sequence[Manifest]) -> pd.DataFrame:
    frame = store.scores([run.run_id for run in runs])
    counts = [field.name for field in SCORES if pa.types.is_integer(field.type)]
    frame = frame.astype(dict.fromkeys(counts, "Int64"))  # one missing count makes none a fraction
    known = pd.DataFrame(
        [(run.run_id, run.name, run.created, run.model.name) for run in runs],
        columns=list(_RUN_COLUMNS),
        dtype="str",
    )
    return known.merge(frame, on="run_id")


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _write_lm_eval(store: Store, run: Manifest, folder: Path) -> Path:
    home = folder / re.sub(r'[."<>:/|\\?*\[\]\s]+', "__", run.model.name)[:60]
    home.mkdir(parents=True, exist_ok=True)
    stamp = _stamp(run)
    for task, record in run.tasks.items():
        with (home / f"samples_{samples_name(task)}_{stamp}.jsonl").open(
            "w", encoding="utf-8"
        ) as file:
            for row in store.samples_table(run.run_id, task).to_pylist():
                file.write(json.dumps(_sample(row, record.request_kind), ensure_ascii=False) + "\n")
    path = home / f"results_{stamp}.json"
    content = _results(run, [_finite(row) for row in store.score_rows(run.run_id)])
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    return path


def _stamp(run: Manifest) -> str:
    """Time of the run as lm-eval writes it; the fraction tells apart what began in one second."""
    seconds = run.created.partition("+")[0].replace(":", "-")
    return f"{seconds}.{sum(run.run_id.encode()) * 7919 % 10**6:06d}"


def _results(run: Manifest, rows: list[dict[str, Any]]) -> dict[str, Any]:
    groups = {row["task"]: {"alias": row["task"]} for row in rows if row["tasks"] is not None}
    results: dict[str, dict[str, Any]] = {
        **{task: {"alias": task} for task in run.tasks}, **groups
    }  # fmt: skip
    better: dict[str, dict[str, Any]] = {name: {} for name in results}
    for row in rows:
        metric, name = row["metric"], row["filter"] or "none"
        results[row["task"]][f"{metric},{name}"] = row["value"]
        stderr = "N/A" if row["stderr"] is None else row["stderr"]
        results[row["task"]][f"{metric}_stderr,{name}"] = stderr
        better[row["task"]][metric] = row["higher_is_better"]
    return {
        "results": results,
        **({"groups": {name: results[name] for name in groups}} if groups else {}),
        "group_subtasks": run.suites,
        "configs": {
            task: {
                "task": task,
                "output_type": record.request_kind,
                "num_fewshot": record.num_fewshot,
                "metadata": {"version": record.version, "family": record.family},
                "metric_list": [
                    {"metric": row["metric"], "aggregation": row["aggregation"],
                     "higher_is_better": row["higher_is_better"]}
                    for row in rows if row["task"] == task
                ],
            }
            for task, record in run.tasks.items()
        },
        "versions": {task: record.version for task, record in run.tasks.items()},
        "n-shot": {task: record.num_fewshot for task, record in run.tasks.items()},
        "higher_is_better": better,
        "n-samples": {
            task: {"original": record.documents, "effective": record.documents}
            for task, record in run.tasks.items()
        },
        "config": {
            "model": "evalkit",
            "model_args": {"pretrained": run.model.path},
            "model_num_parameters": run.model.parameters,
            "model_dtype": run.settings.get("dtype"),
            "model_sha": run.model.weights_hash,
            "limit": run.settings.get("limit"),
            "random_seed": run.settings.get("seed"),
        },
        "git_hash": run.environment.get("git_commit"),
        "date": datetime.fromisoformat(run.created).timestamp(),
        "lm_eval_version": run.environment.get("libraries", {}).get("lm_eval"),
        "transformers_version": run.environment.get("libraries", {}).get("transformers"),
        "model_name": run.model.name,
        "model_source": "evalkit",
        "total_evaluation_time_seconds": str(run.duration_s),
    }  # fmt: skip


def _sample(row: dict[str, Any], kind: str | None) -> dict[str, Any]:
    """One line of a samples file; responses in the shapes that lm-eval's JSON gives them."""
    statistics = dict(row["statistics"] or [])
    scored = list(zip(row["loglikelihoods"] or [], row["is_greedy"] or [], strict=True))
    texts = row["responses"] or []
    choices = row["choices"] or ([row["target"]] if scored and kind == "loglikelihood" else [])
    responses: list[Any] = [[str(value), str(greedy)] for value, greedy in scored] or list(texts)
    arguments = {
        f"gen_args_{i}": {"arg_0": row["prompt"], "arg_1": choice}
        for i, choice in enumerate(choices)
    } or {"gen_args_0": {"arg_0": row["prompt"]}}
    return {
        "doc_id": row["doc_id"],
        "doc": json.loads(row["doc"]) if row["doc"] else {},
        "target": row["target"],
        "arguments": arguments,
        "resps": [[response] for response in responses],
        "filtered_resps": [row["answer"]] if texts else responses,
        "filter": row["filter"] or "none",
        "metrics": list(statistics),
        "doc_hash": row["doc_hash"],
        "prompt_hash": row["prompt_hash"],
        **{name: v[0] if len(v) == 1 else v for name, v in statistics.items()},
    }
