"""A suite as one figure, by lm-eval's own arithmetic."""

import json
from dataclasses import replace

import numpy as np
import pytest
from lm_eval.api.metrics import aggregate_subtask_metrics, pooled_sample_stderr
from statsmodels.stats.proportion import proportion_confint

import evalkit
from evalkit.gating import GateConfig, gate
from evalkit.gating.noise import noise_floor
from evalkit.registry import Registry
from evalkit.results import Store, compare, overview
from evalkit.results.board import Choice, select_board
from evalkit.results.export import to_lm_eval
from evalkit.runner.suites import suite_scores
from evalkit.settings import RunSettings
from evalkit.types import Score
from tests.checkpoints import make_checkpoint


def score(task, value, stderr, n, metric="acc", filter_name="none"):
    return Score(
        task, metric, filter_name, value, stderr, None, None, n, True, interval="wilson",
        family="multiple choice",
    )  # fmt: skip


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
        score("b", 0.8, 0.025, 300),
        score("other", 0.0, 0.1, 30),
        score("a", 0.2, 0.1, 30, "f1", "strict"),
        score("b", 0.6, None, 300, "f1", "strict"),
        score("b", 0.9, None, 300, "f1", "none"),
    ]
    acc, f1 = suite_scores({"both": ["a", "b"]}, scores, registry)
    assert acc.value == pytest.approx(aggregate_subtask_metrics([0.5, 0.8], [30, 300]))
    assert acc.stderr == pytest.approx(pooled_sample_stderr([0.1, 0.025], [30, 300]))
    assert (acc.task, acc.n, acc.tasks, acc.family) == ("both", 330, 2, "multiple choice")
    assert acc.higher_is_better is True
    # Wilson's of as many samples as the pooled error is worth
    size = acc.value * (1 - acc.value) / acc.stderr**2
    expected = proportion_confint(acc.value * size, size, method="wilson")
    assert (acc.ci_low, acc.ci_high) == pytest.approx(expected, abs=2e-3)
    assert (f1.value, f1.stderr, f1.filter) == (pytest.approx(0.4), None, "strict")
    assert (f1.ci_low, f1.ci_high) == (None, None)


def test_an_undefined_task_leaves_the_suite_undefined(registry):
    assert suite_scores({"both": ["a", "b"]}, [score("a", None, None, 3)], registry) == []
    assert registry.aggregates("demo") == []
    assert registry.aggregates("nowhere") == []
    assert registry.aggregates("mmlu") == [("acc", (), True)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory, checkpoint):
    """Two checkpoints' runs of a suite that is one figure, and the store they are in."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "suite.yaml").write_text(
        "group: both\ntask: [micro_facts, micro_order]\naggregate_metric_list: [{metric: acc}]\n"
    )
    other = make_checkpoint(folder / "other", seed=1)
    for name, path in (("one", checkpoint), ("two", other)):
        evalkit.run(
            str(path), ["both", "micro_agreement"], store=str(folder / "store"), name=name,
            limit=24, device="cpu", include_path=[folder],
        )  # fmt: skip
    return Store(folder / "store")


def test_a_suites_figure_is_stored_beside_its_tasks(measured):
    scores = measured.scores().query("metric == 'acc'")
    for _, rows in scores.groupby("run_id"):
        (suite,) = rows[rows["tasks"].notna()].to_dict("records")
        tasks = rows[rows["task"].isin(["micro_facts", "micro_order"])]
        assert (suite["task"], suite["tasks"], suite["n"]) == ("both", 2, 48)
        assert suite["value"] == pytest.approx(tasks["value"].mean())
        assert suite["ci_low"] < suite["value"] < suite["ci_high"]
        assert suite["num_fewshot"] == 0


def test_the_leaderboard_shows_it_and_only_by_suite(measured):
    view = overview(measured)
    assert "both" not in set(view.scores["task"])
    board = select_board(view, Choice(by_suite=True)).scores
    assert set(board["figure"]) == {"both · acc · 2 tasks, pooled"}
    assert len(board) == 2
    assert board["comparable"].all()


def test_a_run_of_before_it_was_stored_keeps_the_mean(measured):
    view = overview(measured)
    first, second = view.runs["run_id"]
    view = replace(view, suites=view.suites[view.suites["run_id"] == first])
    board = select_board(view, Choice(by_suite=True, metric="acc")).scores
    assert dict(zip(board["run_id"], board["figure"], strict=True)) == {
        first: "both · acc · 2 tasks, pooled",
        second: "both · acc · 2 tasks",
    }


def test_a_comparison_pairs_the_samples_of_all_its_tasks(measured):
    found = compare("one", "two", measured)
    assert "both" not in {row.task for row in found.differences}
    row = found.suite_difference("both", "acc", "none")
    tasks = [r for r in found.differences if r.metric == "acc" and r.task != "micro_agreement"]
    assert (row.n, row.wins) == (48, sum(r.wins for r in tasks))
    assert row.difference == pytest.approx(np.mean([r.difference for r in tasks]))
    assert found.suite_difference("both", "f1", "none") is None
    whole = found.pairs["micro_order"]
    empty = replace(whole, rows=whole.rows[:0], baseline=whole.baseline[:0],
                    candidate=whole.candidate[:0])  # fmt: skip
    found = replace(found, pairs={**found.pairs, "micro_order": empty})
    assert found.suite_difference("both", "acc", "none") is None


def test_a_gate_judges_it_as_one_figure(measured):
    limits = {"task": "both", "pooled": True}
    rules = [{**limits, "max_drop": 0.5}, {**limits, "min": 0.99}, {**limits, "min": 0.0}]
    result = gate("two", GateConfig.model_validate({"rules": [rules[0]]}), baseline="one",
                  store=measured.url)  # fmt: skip
    (check,) = result.checks
    assert (check.task, check.n, check.verdict.value) == ("both", 48, "pass")
    for rule, verdict in zip(rules[1:], ("regressed", "pass"), strict=True):
        result = gate("two", GateConfig.model_validate({"rules": [rule]}), store=measured.url)
        assert [check.verdict.value for check in result.checks] == [verdict]
    rule = {"task": "demo", "pooled": True, "min": 0.1}
    (check,) = gate("two", GateConfig.model_validate({"rules": [rule]}), store=measured.url).checks
    assert "no suite 'demo'" in check.reason


def test_it_is_exported_as_lm_evals_group(measured, tmp_path):
    run = measured.resolve("one")
    (path,) = to_lm_eval(measured, [run], tmp_path)
    groups = json.loads(path.read_text())["groups"]
    (row,) = [row for row in measured.score_rows(run.run_id) if row["tasks"] is not None]
    assert groups["both"]["acc,none"] == row["value"]


def test_the_noise_floor_is_of_tasks_alone(checkpoint, registry, tmp_path):
    settings = RunSettings.checked(
        model=str(checkpoint), tasks=["both"], include_path=[tmp_path], limit=3, device="cpu"
    )
    floors = noise_floor(settings, batch_sizes=(1,), seeds=(0,), threads=(1,))
    assert {floor.task for floor in floors} == {"micro_facts", "micro_order"}


def test_a_run_prints_it(evalkit_command, checkpoint, registry, tmp_path):
    arguments = (
        "run", "--model", checkpoint, "--tasks", "both", "--device", "cpu", "--limit", 5,
        "--include-path", tmp_path, "--store", tmp_path / "store",
    )  # fmt: skip
    done = evalkit_command(*arguments)
    assert done.code == 0, done.err
    (row,) = [line for line in done.out.splitlines() if line.startswith("| both ")]
    figures = json.loads(evalkit_command(*arguments, "--json").out)["scores"]
    values = [s["value"] for s in figures if s["metric"] == "acc" and s["tasks"] is None]
    assert f"| {sum(values) / 2:.4f} " in row
