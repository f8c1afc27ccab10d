"""Fixtures that many tests share; expensive ones are made once a session."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import json
from pathlib import Path

import pytest

from tests.checkpoints import make_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A random Llama of a few thousand weights."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny-llama")


@pytest.fixture(scope="session")
def task_folder(tmp_path_factory) -> Path:
    """Three small tasks, one of each request type, with their data beside them."""
    folder = tmp_path_factory.mktemp("tasks")
    _write_task(
        folder,
        "toy_choice",
        _CHOICE,
        [
            {"q": f"A {a} met a {b}. Who was met? The", "options": [a, b], "gold": 1, "kind": a}
            for a, b in zip(_TRADES, _TRADES[1:] + _TRADES[:1], strict=True)
        ],
    )
    _write_task(
        folder,
        "toy_text",
        _TEXT,
        [
            {"text": f"The {trade} said that the {other} had bread to sell. " * 3}
            for trade, other in zip(_TRADES, reversed(_TRADES), strict=True)
        ],
    )
    _write_task(
        folder,
        "toy_answer",
        _ANSWER,
        [{"q": f"Question: What does the {trade} do? Answer:", "a": "bread"} for trade in _TRADES],
    )
    (folder / "toys.yaml").write_text(
        "group: toys\ntask:\n  - toy_choice\n  - toy_text\n  - toy_answer\n"
    )
    return folder


_TRADES = ["baker", "farmer", "teacher", "miller", "sailor", "weaver"]
_CHOICE = """
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_target: gold
doc_to_choice: options
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
metadata: {version: 1, family: multiple choice, category: kind}
"""
_TEXT = """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity}
  - {metric: bits_per_byte}
metadata: {version: 1, family: language modelling}
"""
_ANSWER = """
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["."], max_gen_toks: 8, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 1, family: question answering}
"""


def _write_task(folder: Path, name: str, body: str, rows: list[dict]) -> None:
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}\n"
    (folder / f"{name}.yaml").write_text(f"task: {name}\n{source}test_split: test{body}")


@pytest.fixture
def evalkit_command(monkeypatch, capsys):
    """Calls the command: `evalkit_command("ls", "--store", path)` -> code, out, err."""
    from tests.cli.command import Command

    return Command(monkeypatch, capsys)
