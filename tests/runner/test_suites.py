"""A suite as one figure, by lm-eval's own arithmetic."""

import json

import pytest
from lm_eval.api.metrics import aggregate_subtask_metrics, pooled_sample_stderr

from evalkit.registry import Registry
from evalkit.runner.suites import suite_figures
from evalkit.types import Score


def score(task, value, stderr, n, metric="acc", filter_name="none"):
    return Score(task, metric, filter_name, value, stderr, None, None, n, True)


@pytest.fixture
def registry(tmp_path):
    (tmp_path / "suite.yaml").write_text(
        "group: both\ntask: [micro_facts, micro_order]\naggregate_metric_list:\n"
        "  - {metric: acc}\n  - {metric: f1, filter_list: strict, weight_by_size: false}\n"
    )
    return Registry([tmp_path])


def test_a_suite_is_weighted_by_its_tasks_samples(registry):
    scores = [
        score("a", 0.5, 0.1, 30),
        score("b", 0.8, 0.02, 300),
        score("other", 0.0, 0.1, 30),
        score("a", 0.2, 0.1, 30, "f1", "strict"),
        score("b", 0.6, None, 300, "f1", "strict"),
        score("b", 0.9, None, 300, "f1", "none"),
    ]
    acc, f1 = suite_figures({"both": ["a", "b"]}, scores, registry)
    assert acc.value == pytest.approx(aggregate_subtask_metrics([0.5, 0.8], [30, 300]))
    assert acc.stderr == pytest.approx(pooled_sample_stderr([0.1, 0.02], [30, 300]))
    assert (acc.n, acc.tasks) == (330, 2)
    assert (f1.value, f1.stderr, f1.filter) == (pytest.approx(0.4), None, "strict")


def test_an_undefined_task_leaves_the_suite_undefined(registry):
    assert suite_figures({"both": ["a", "b"]}, [score("a", None, None, 3)], registry) == []
    assert registry.aggregates("demo") == []
    assert registry.aggregates("nowhere") == []
    assert registry.aggregates("mmlu") == [("acc", (), True)]


def test_a_run_prints_it(evalkit_command, checkpoint, registry, tmp_path):
    arguments = (
        "run", "--model", checkpoint, "--tasks", "both", "--device", "cpu", "--limit", 5,
        "--include-path", tmp_path, "--store", tmp_path / "store",
    )  # fmt: skip
    done = evalkit_command(*arguments)
    assert done.code == 0, done.err
    (row,) = [line for line in done.out.splitlines() if line.startswith("| both ")]
    figures = json.loads(evalkit_command(*arguments, "--json").out)["scores"]
    values = [s["value"] for s in figures if s["metric"] == "acc"]
    assert f"| {sum(values) / 2:.4f} " in row
