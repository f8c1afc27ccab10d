"""Waivers, required fields, baselines as files, the choice of test, reports of what failed."""

import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evalkit.errors import DataError, EvaluationError, UsageError
from evalkit.gating import GateConfig, Verdict, gate
from evalkit.results import Store, compare
from evalkit.results.baseline import find_baseline, list_baselines, set_baseline
from tests.cli.command import Command
from tests.stores import make_store, rewrite_run

TODAY = date(2026, 1, 15)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return make_store(tmp_path_factory.mktemp("store"), tasks=["facts", "stories"], n=80)


def rules(until: str = "2026-02-01", rule: str = "facts", **more: object) -> GateConfig:
    waiver = {"rule": rule, "until": until, "reason": "known", "by": "ada"}
    return GateConfig.model_validate(
        {
            "rules": [{"task": "facts", "max_drop": 0}],
            "waivers": [waiver],
            **more,
        }
    )


@pytest.mark.parametrize("rule", ["facts", "fact*", "facts acc_norm"])
def test_a_waived_regression_passes_and_says_who_answers(store: Store, rule: str) -> None:
    result = gate("early", rules(rule=rule), baseline="late", store=store.url, today=TODAY)
    assert result.exit_code == 0
    assert result.checks[0].verdict is Verdict.WAIVED
    assert "until 2026-02-01 by ada: known" in result.checks[0].reason


def test_an_expired_waiver_fails(store: Store) -> None:
    found = gate("early", rules("2026-01-14"), baseline="late", store=store.url, today=TODAY)
    assert found.exit_code == 1
    assert found.checks[0].verdict is Verdict.REGRESSED
    assert "ended on 2026-01-14" in found.checks[0].reason
    last_day = gate("early", rules("2026-01-15"), baseline="late", store=store.url, today=TODAY)
    assert last_day.exit_code == 0


def test_idle_waivers_are_noted(store: Store) -> None:
    for rule, note in (("nothing", "fits no rule"), ("facts", "not needed any more")):
        result = gate("late", rules(rule=rule), baseline="early", store=store.url, today=TODAY)
        assert any(note in remark for remark in result.notes)


def test_runs_that_differ_in_a_required_field_are_not_compared(store: Store) -> None:
    required = {"select": "late", "require_same": ["model.weights_hash"]}
    result = gate("early", rules(baseline=required), store=store.url, today=TODAY)
    assert result.exit_code == 4
    assert "model.weights_hash was" in result.problem
    with pytest.raises(UsageError, match=r"neither run has a field 'settings\.nonsense'"):
        wrong = {"select": "late", "require_same": ["settings.nonsense"]}
        gate("early", rules(baseline=wrong), store=store.url)


def test_a_baseline_file_gives_the_verdicts_of_its_run(store: Store, tmp_path: Path) -> None:
    made = set_baseline(store, "late", "main")
    elsewhere = tmp_path / "committed.parquet"
    elsewhere.write_bytes(Path(made.path).read_bytes())
    expected = gate("early", baseline="late", store=store.url)
    for reference in ("tag:main", str(elsewhere)):
        found = gate("early", baseline=reference, store=store.url)
        assert found.checks == expected.checks
        assert f"--baseline {reference}" in found.command
    found, problems = list_baselines(store)
    assert ([(b.tag, b.run.name) for b in found], problems) == ([("main", "late")], [])


def test_flips_come_from_a_baseline_file_too(store: Store, tmp_path: Path) -> None:
    set_baseline(store, "late", "main")
    gate("early", baseline="tag:main", store=store.url, output=tmp_path)
    assert "of the samples it lost" in (tmp_path / "gate.md").read_text()


def test_a_file_that_is_no_baseline_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="is no baseline file"):
        find_baseline(store, str(tmp_path / "x.parquet"))
    with pytest.raises(UsageError, match="no baseline 'other'"):
        find_baseline(store, "tag:other")
    with pytest.raises(UsageError, match="letters, digits"):
        set_baseline(store, "late", "../escape")


def test_the_fallback_is_used_where_select_names_nothing(store: Store) -> None:
    chosen = {"select": "tag:none", "fallback": "late"}
    config = GateConfig.model_validate({"baseline": chosen})
    assert gate("early", config, store=store.url).baseline.name == "late"


@pytest.mark.parametrize("test", ["sign-flip", "t", "bootstrap"])
def test_a_rule_may_choose_its_test(store: Store, test: str) -> None:
    rule = {"task": "facts", "metric": "acc", "max_drop": 0, "test": test}
    config = GateConfig.model_validate({"rules": [rule]})
    check = gate("early", config, baseline="late", store=store.url).checks[0]
    expected = compare("late", "early", store).against("facts", "acc", "none", 0.0, test=test)
    assert check.p == expected.p
    assert test in expected.test


def test_a_test_that_does_not_suit_is_refused(store: Store) -> None:
    rule = {"task": "stories", "max_rise": 0, "test": "t"}
    with pytest.raises(UsageError, match="is for means"):
        config = GateConfig.model_validate({"rules": [rule]})
        gate("early", config, baseline="late", store=store.url)


def test_an_unfinished_run_leaves_reports_behind(store: Store, tmp_path: Path) -> None:
    (Path(store.url) / "20260101-000000-halted").mkdir(exist_ok=True)
    with pytest.raises(EvaluationError, match="not finished"):
        gate("20260101-000000-halted", baseline="late", store=store.url, output=tmp_path)
    found = json.loads((tmp_path / "gate.json").read_text())
    assert (found["exit_code"], found["run"]) == (3, None)
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert "not finished" in suite.find("testcase/error").get("message")


def test_baselines_by_command(store: Store, evalkit_command: Command) -> None:
    done = evalkit_command("baseline", "set", "early", "--tag", "nightly", "--store", store.url)
    assert done.code == 0
    assert "nightly" in evalkit_command("baseline", "list", "--store", store.url).out
    shown = evalkit_command("baseline", "show", "nightly", "--store", store.url).out
    assert "word_perplexity" in shown
    assert "early" in shown


def test_timings_in_turns_are_judged_by_rounds(tmp_path: Path) -> None:
    store = timed_store(tmp_path, rounds=5, slower=1.5)
    rule = {"task": "latency", "metric": "mean_s", "max_rise": "10%"}
    config = GateConfig.model_validate({"rules": [rule]})
    slow = gate("late", config, baseline="early", store=store.url)
    assert [check.verdict for check in slow.checks] == [Verdict.REGRESSED] * 2
    assert {check.limit.split()[0] for check in slow.checks} == {"median", "p90"}
    same = timed_store(tmp_path / "same", rounds=5, slower=1.0)
    assert gate("late", config, baseline="early", store=same.url).exit_code == 0


def test_timings_of_other_machines_are_skipped(tmp_path: Path) -> None:
    store = timed_store(tmp_path, rounds=5, slower=1.5, machines=2)
    rule = {"task": "latency", "metric": "mean_s", "max_rise": "10%"}
    result = gate("late", GateConfig.model_validate({"rules": [rule]}), baseline="early",
                  store=store.url)  # fmt: skip
    assert result.checks[0].verdict is Verdict.SKIPPED
    assert "different hardware" in result.checks[0].reason


def timed_store(path: Path, rounds: int, slower: float, machines: int = 1) -> Store:
    """A store whose two runs were timed in turns, the later one `slower` times as slow."""
    store = make_store(path, tasks=["latency"], n=20)
    for number in range(rounds):
        for side, run in (("baseline", "early"), ("run", "late")):
            factor = (slower if side == "run" else 1.0) * (1 + 0.01 * number)

            def slow(task: str, rows: list, factor: float = factor) -> list:
                for i, row in enumerate(rows):
                    row["statistics"] = [
                        (name, [factor * (1 + i / 50)] if name == "mean_s" else list(values))
                        for name, values in row["statistics"]
                    ]
                return rows

            rewrite_run(store, f"{side}-{number}", slow, run=run)
            tags = {"timing_side": side, "timing_round": str(number), "timing_session": "s"}
            hardware = {"cpu": f"cpu {number % machines}"}
            change_manifest(store, f"{side}-{number}", tags, {"hardware": hardware})
    change_manifest(store, "late", {"timing_session": "s"}, {})
    return store


def change_manifest(store: Store, name: str, tags: dict, environment: dict) -> None:
    manifest = store.resolve(name)
    weights = manifest.model.weights_hash
    if name.startswith("baseline-"):
        weights = store.resolve("early").model.weights_hash
    model = manifest.model.model_copy(update={"weights_hash": weights})
    update = {"tags": tags, "environment": environment or manifest.environment, "model": model}
    path = f"{store.path_of(manifest.run_id)}/run.json"
    store.filesystem.pipe_file(path, manifest.model_copy(update=update).model_dump_json().encode())
