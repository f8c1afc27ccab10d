"""The gate on a checkpoint: it runs what the rules need, all of it or in rounds."""

import json
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.gating import GateConfig, Verdict, gate, gate_model
from evalkit.results import Store
from evalkit.runner import run
from tests.checkpoints import make_checkpoint
from tests.cli.command import Command


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> Path:
    """Sixty documents of two choices, told apart by how well the model likes a repetition."""
    folder = tmp_path_factory.mktemp("many")
    words = ["baker", "farmer", "teacher", "miller", "sailor", "weaver"]
    rows = [
        {"q": f"A {words[i % 6]} met {i} people. The",
         "options": [words[i % 6], words[(i + 1) % 6]],
         "gold": i % 2}
        for i in range(60)
    ]  # fmt: skip
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "many.yaml").write_text(
        "task: many\ndataset_path: json\ndataset_kwargs: {data_files: {test: many.jsonl}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{q}}'\n"
        "doc_to_target: gold\ndoc_to_choice: options\n"
        "metric_list:\n  - {metric: acc, aggregation: mean, higher_is_better: true}\n"
        "metadata: {version: 1}\n"
    )
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory, checkpoint: Path, tasks: Path) -> Store:
    url = str(tmp_path_factory.mktemp("store"))
    run(str(checkpoint), "many", include_path=[tasks], store=url, name="base", device="cpu")
    return Store(url)


def test_a_checkpoint_is_measured_on_the_baselines_tasks(store: Store, checkpoint: Path) -> None:
    result = gate_model(str(checkpoint), baseline="base", store=store.url)
    assert result.exit_code == 0
    assert list(result.run.tasks) == ["many"]
    assert result.checks[0].difference == 0


def test_rounds_stop_when_every_rule_is_decided(store: Store, tmp_path: Path, tasks: Path) -> None:
    """Against a limit that no accuracy can reach, a few rounds are enough."""
    other = make_checkpoint(tmp_path / "other", seed=3)
    rules = [{"task": "many", "min": 0.98}, {"task": "many", "max_drop": 0.9}]
    config = GateConfig.model_validate({"rules": rules})
    result = gate_model(str(other), config, baseline="base", store=store.url, sequential=True)
    verdicts = {check.limit: check.verdict for check in result.checks}
    assert verdicts == {"min 0.98": Verdict.REGRESSED, "max_drop 0.9": Verdict.PASS}
    assert result.run.tasks["many"].documents < 60
    assert not any("too sure" in note for note in result.notes)
    again = gate(result.run.run_id, config, baseline="base", store=store.url)
    assert any("was stopped by a sequential gate" in note for note in again.notes)
    assert result.exit_code == 1
    assert "documents were asked" in " ".join(result.notes)
    assert all("betting" in check.reason for check in result.checks)


def test_what_stays_open_is_judged_on_all_documents(store: Store, checkpoint: Path) -> None:
    """A checkpoint against itself at margin 0 can never be decided early."""
    result = gate_model(str(checkpoint), baseline="base", store=store.url, sequential=True)
    assert result.run.tasks["many"].documents == 60
    assert [check.verdict for check in result.checks] == [Verdict.PASS]


def test_the_order_of_documents_is_the_seeds(store: Store, checkpoint: Path) -> None:
    config = GateConfig.model_validate({"rules": [{"task": "many", "max_drop": 0.9}]})
    asked = []
    for seed in (1, 1, 2):
        result = gate_model(
            str(checkpoint), config, baseline="base", store=store.url, sequential=True, seed=seed
        )
        rows = store.samples(result.run.run_id, "many", ["doc_id"])
        asked.append(rows["doc_id"].tolist())
    assert asked[0] == asked[1]
    assert set(asked[0]) != set(asked[2])


def test_wrong_use_of_model(store: Store, checkpoint: Path, evalkit_command: Command) -> None:
    with pytest.raises(UsageError, match="which tasks to run"):
        gate_model(str(checkpoint), store=store.url)
    both = evalkit_command("gate", "base", "--model", checkpoint, "--store", store.url)
    assert (both.code, "one thing to judge" in both.err) == (2, True)
    alone = evalkit_command("gate", "base", "--sequential", "--store", store.url)
    assert (alone.code, "needs --model" in alone.err) == (2, True)


def test_noise_by_command(checkpoint: Path, tasks: Path, evalkit_command: Command) -> None:
    done = evalkit_command(
        "noise", checkpoint, "--tasks", "many", "--include-path", tasks, "--limit", "6",
        "--batch-sizes", "1,2", "--seeds", "0,1", "--threads", "1", "--json",
    )  # fmt: skip
    row = json.loads(done.out)[0]
    assert (row["metric"], row["threads"]) == ("acc", None)
    assert row["batch_size"] == 0
