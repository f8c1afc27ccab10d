"""lm-eval's samples files, line by line, as rows of the store."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from evalkit.errors import DataError
from evalkit.metrics.statistics import sample_statistics
from evalkit.results.export import samples_name
from evalkit.types import Decoding, Document, Request, RequestKind

Row = dict[str, Any]

KINDS = {
    "loglikelihood_rolling": RequestKind.ROLLING,
    "generate_until": RequestKind.GENERATE,
}
MALFORMED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    pa.ArrowException,
)
"""What reading a file of another form can end in."""


def reason(error: Exception) -> str:
    """What is wrong with a file, in words for people."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, TypeError | AttributeError | IndexError):
        return "a part of it has another form"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def read_samples(file: Path, task: str, config: Row) -> list[Row]:
    """Samples of a task as rows of the store, without the run's id; none where there is no file.

    Args:
        file: The results file they lie beside.
        task: The task.
        config: Its configuration, from the results file.

    Raises:
        DataError: A line is not what lm-eval writes.
    """
    stamp = file.name.removeprefix("results_").removesuffix(".json")
    beside = file.with_name(f"samples_{samples_name(task)}_{stamp}.jsonl")
    if not beside.is_file():
        return []
    rows = []
    with beside.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    rows.append(_sample(task, config, json.loads(line)))
            except MALFORMED as error:
                raise DataError(
                    f"{beside}, line {number}, is no sample of lm-eval: {reason(error)}."
                ) from error
    return rows


def _sample(task: str, config: Row, line: Row) -> Row:
    kind = KINDS.get(str(config.get("output_type")), RequestKind.LOGLIKELIHOOD)
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
        return sample_statistics(aggregation_of(config, metric), item) or ()
    except (TypeError, ValueError):
        return ()


def aggregation_of(config: Row, metric: str) -> str:
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
