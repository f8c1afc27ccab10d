"""Few-shot examples: each document's own draw, or lm-eval's stream."""

import json

import lm_eval
import pytest
from lm_eval.tasks import TaskManager

from evalkit.errors import UsageError
from evalkit.registry import Registry
from evalkit.settings import RunSettings

TASK = """
task: shots
dataset_path: json
dataset_kwargs: {data_files: {train: train.jsonl, test: test.jsonl}}
training_split: train
test_split: test
fewshot_split: train
num_fewshot: 3
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: ["yes", "no"]
doc_to_target: "{{a}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for split, count in (("train", 30), ("test", 8)):
        rows = [{"q": f"{split} question {i}?", "a": i % 2} for i in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "shots.yaml").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contexts(folder, seeding, limit=None, seed=0):
    registry = Registry()
    leaf = registry.select([str(folder / "shots.yaml")]).leaves["shots"]
    task = registry.load(leaf, None, seeding)
    return [document.requests[0].context for document in task.documents(limit, seed)]


def test_lm_evals_stream_is_reproduced(folder):
    theirs = lm_eval.simple_evaluate(
        model="dummy",
        tasks=["shots"],
        task_manager=TaskManager(include_defaults=False, include_path=str(folder)),
        log_samples=True,
        bootstrap_iters=0,
    )
    expected = [sample["arguments"][0][0] for sample in theirs["samples"]["shots"]]
    assert len(set(expected)) == 8
    assert contexts(folder, "lm-eval") == expected
    assert contexts(folder, "document") != expected


def test_a_documents_own_draw_does_not_depend_on_the_others(folder):
    whole = contexts(folder, "document")
    assert contexts(folder, "document", limit=3) == whole[:3]
    assert contexts(folder, "document", seed=1) != whole
    examples = {context.rsplit("\n\n", 1)[0] for context in whole}
    assert len(examples) > 1, "each document has examples of its own"


def test_an_unknown_seeding_is_refused():
    with pytest.raises(UsageError, match="--fewshot-seeding"):
        RunSettings.checked(model="m", tasks="t", fewshot_seeding="stream")
