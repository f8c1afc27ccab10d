"""docs/results.md says of every column what the schema says of it."""

from pathlib import Path

import pytest

from evalkit.results import SAMPLES, SCHEMA_VERSION, SCORES, TIMINGS, Manifest, TaskRecord
from evalkit.results.manifest import ModelRecord

DOCS = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


def as_table(schema):
    rows = [
        f"| `{field.name}` | {field.type} | {field.metadata[b'unit'].decode()} "
        f"| {field.metadata[b'meaning'].decode()} |"
        for field in schema
    ]
    return "\n".join(["| column | type | unit | meaning |", "| --- | --- | --- | --- |", *rows])


@pytest.mark.parametrize("schema", [SCORES, SAMPLES, TIMINGS], ids=["scores", "samples", "timings"])
def test_every_column_is_there_as_the_schema_has_it(schema):
    assert as_table(schema) in DOCS, as_table(schema)


def test_every_field_of_the_manifest_is_there():
    for model in (Manifest, ModelRecord, TaskRecord):
        missing = [name for name in model.model_fields if f"| `{name}` |" not in DOCS]
        assert not missing, model


def test_the_version_is_the_current_one():
    assert f"schema version {SCHEMA_VERSION}" in DOCS
