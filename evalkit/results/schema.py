"""The Parquet schemas of a run; field metadata gives each column's unit and meaning.

Version 2 added `prompt_tokens` and `output_tokens` to the samples, version 3 `setting` and
`token_s` to the timings, version 4 `tasks` to the scores. A column that an older version lacks is
read as null.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 4


def _field(name: str, type_: pa.DataType, meaning: str, unit: str = "") -> "pa.Field[pa.DataType]":
    return pa.field(name, type_, metadata={"meaning": meaning, "unit": unit})


_VERSION: dict[str | bytes, str | bytes] = {"evalkit.schema_version": str(SCHEMA_VERSION)}

SCORES = pa.schema(
    [
        _field("run_id", pa.string(), "run the score belongs to"),
        _field("task", pa.string(), "task name"),
        _field("family", pa.string(), "task family"),
        _field("metric", pa.string(), "metric name"),
        _field("filter", pa.string(), "answer extraction that was applied"),
        _field("value", pa.float64(), "score over all samples; null where undefined"),
        _field("stderr", pa.float64(), "standard error of the value"),
        _field("ci_low", pa.float64(), "lower end of the 95 % interval"),
        _field("ci_high", pa.float64(), "upper end of the 95 % interval"),
        _field("n", pa.int64(), "samples", "documents"),
        _field("n_clusters", pa.int64(), "families of documents; null where samples are single"),
        _field("interval", pa.string(), "method of the interval"),
        _field("aggregation", pa.string(), "how samples become the value"),
        _field("higher_is_better", pa.bool_(), "direction; null where neither is better"),
        _field("num_fewshot", pa.int64(), "examples shown before each question"),
        _field("unit", pa.string(), "unit of the value; empty for ratios"),
        _field("note", pa.string(), "what a reader has to know about the interval"),
        _field(
            "tasks",
            pa.int64(),
            "tasks that the figure is of, where `task` names a suite; null for a task's own",
        ),
    ],
    metadata=_VERSION,
)

SAMPLES = pa.schema(
    [
        _field("run_id", pa.string(), "run the sample belongs to"),
        _field("task", pa.string(), "task name"),
        _field("doc_id", pa.int64(), "position of the document in the evaluation split"),
        _field("filter", pa.string(), "answer extraction that was applied"),
        _field("doc_hash", pa.string(), "hash of the document"),
        _field("prompt_hash", pa.string(), "hash of all requests made of it, with decoding"),
        _field("cluster", pa.string(), "family of documents it belongs to (passage, template)"),
        _field("category", pa.string(), "label to break samples down by"),
        _field("doc", pa.string(), "the document", "JSON"),
        _field("prompt", pa.string(), "context of the first request"),
        _field("target", pa.string(), "right answer"),
        _field("choices", pa.list_(pa.string()), "answers that were scored"),
        _field("loglikelihoods", pa.list_(pa.float64()), "of each scored answer", "nats"),
        _field("is_greedy", pa.list_(pa.bool_()), "whether greedy decoding gives that answer"),
        _field("responses", pa.list_(pa.string()), "generated texts, unfiltered"),
        _field("prompt_tokens", pa.list_(pa.int64()), "of each request's context", "tokens"),
        _field("output_tokens", pa.list_(pa.int64()), "scored or generated, by request", "tokens"),
        _field("answer", pa.string(), "extracted answer or chosen option"),
        _field(
            "statistics",
            pa.map_(pa.string(), pa.list_(pa.float64())),
            "metric -> numbers its aggregation sums; one number where the metric is a mean",
        ),
    ],
    metadata=_VERSION,
)

TIMINGS = pa.schema(
    [
        _field("run_id", pa.string(), "run the timing belongs to"),
        _field(
            "phase", pa.string(), "load, respond, samples, score, or the latency task's request"
        ),
        _field("task", pa.string(), "task, where the row is one of its requests"),
        _field("setting", pa.string(), "setting of a profile that the request was made under"),
        _field("request_id", pa.int64(), "position of the request in its task"),
        _field("requests", pa.int64(), "requests answered in this row"),
        _field("prompt_tokens", pa.int64(), "tokens of the prompt", "tokens"),
        _field("output_tokens", pa.int64(), "tokens scored or generated", "tokens"),
        _field("first_token_s", pa.float64(), "from request to first token", "seconds"),
        _field("total_s", pa.float64(), "from start to end", "seconds"),
        _field("token_s", pa.list_(pa.float64()), "from request to each of its tokens", "seconds"),
    ],
    metadata=_VERSION,
)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table under a schema: columns it lacks become null, columns of its own are left out.

    Raises:
        ArrowException: A column cannot be read as the schema's type.
    """
    for name in schema.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    return table.select(schema.names).cast(schema)


def table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Arrow table in the schema from plain rows; absent columns become null."""
    return pa.Table.from_pylist(list(rows), schema=schema)
