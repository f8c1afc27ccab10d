"""Reports: read back, escaped, written whatever the verdict; and the command itself."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evalkit.gating import GateConfig, annotate, gate
from evalkit.results import Store
from tests.stores import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    tasks = ["facts", "passages", "stories", "latency"]
    return make_store(tmp_path_factory.mktemp("store"), tasks=tasks, n=100, hostile=True)


def test_junit_has_one_case_for_each_check(store: Store, tmp_path: Path) -> None:
    result = gate("early", baseline="late", store=store.url, output=tmp_path)
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot().find("testsuite")
    assert suite.get("tests") == str(len(result.checks)) == "4"
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("2", "0", "1")
    failed = {case.get("classname") for case in suite if case.find("failure") is not None}
    assert failed == {"facts", "stories"}


def test_json_is_the_result(store: Store, tmp_path: Path) -> None:
    result = gate("early", baseline="late", store=store.url, output=tmp_path)
    found = json.loads((tmp_path / "gate.json").read_text())
    assert found == json.loads(json.dumps(result.to_dict()))
    assert found["exit_code"] == 1
    assert found["checks"][0]["verdict"] == "regressed"


def test_markdown_shows_regressions_first_with_five_lost_samples(
    store: Store, tmp_path: Path
) -> None:
    result = gate("early", baseline="late", store=store.url, output=tmp_path)
    page = (tmp_path / "gate.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ❌ regressed")]
    assert len(rows) == 2
    assert page.index("regressed |") < page.index("inconclusive |") < page.index("skipped |")
    assert "facts acc\\_norm: 5 of the samples it lost" in page
    assert f"`{result.command}`" in page
    assert not re.search(r"<script|https?://|^::|\x1b|\u202e", page, re.MULTILINE)


def test_reports_are_written_when_nothing_could_be_compared(store: Store, tmp_path: Path) -> None:
    gate("late", store=store.url, output=tmp_path)
    assert json.loads((tmp_path / "gate.json").read_text())["exit_code"] == 4
    case = ElementTree.parse(tmp_path / "gate.xml").getroot().find("testsuite/testcase")
    assert "no baseline" in case.find("error").get("message")
    assert "no baseline" in (tmp_path / "gate.md").read_text()


def test_github_gets_a_summary_and_annotations(store: Store, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    result = gate("early", baseline="late", store=store.url)
    assert annotate(result) == []
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    lines = annotate(result)
    assert sum(line.startswith("::error ") for line in lines) == 2
    assert sum(line.startswith("::warning ") for line in lines) == 1
    assert all("\n" not in line for line in lines)
    assert (tmp_path / "summary.md").read_text().startswith("## ❌")


@pytest.mark.parametrize(("policy", "said"), [("pass", 0), ("warn", 1), ("fail", 1)])
def test_annotations_follow_the_configs_policy(
    store: Store, monkeypatch, policy: str, said: int
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    rules = [{"task": "nothing", "max_drop": 0}]
    config = GateConfig.model_validate({"rules": rules, "defaults": {"on_missing": policy}})
    lines = annotate(gate("late", config, baseline="early", store=store.url))
    assert len(lines) == said
    assert all(("::error" if policy == "fail" else "::warning") in line for line in lines)


def test_the_command_names_runs_by_id_and_the_seed(store: Store) -> None:
    result = gate("early", baseline="late", store=store.url, seed=3)
    assert f"--baseline {store.resolve('late').run_id} --seed 3" in result.command


@pytest.mark.parametrize(
    ("run", "baseline", "code", "last"),
    [
        ("late", "early", 0, "passed"),
        ("early", "late", 1, "REGRESSED"),
        ("late", None, 4, "baseline"),
    ],
)
def test_the_command_exits_with_the_verdict(
    store: Store, evalkit_command, monkeypatch, run: str, baseline: str | None, code: int, last: str
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    named = ["--baseline", baseline] if baseline else []
    done = evalkit_command("gate", run, *named, "--store", store.url)
    assert done.code == code
    assert last in done.out


def test_wrong_configs_exit_2_with_one_line(store: Store, evalkit_command, tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("rules:\n- task: facts\n  max_dorp: 1\n")
    done = evalkit_command(
        "gate", "late", "--baseline", "early", "--store", store.url, "--config", path
    )
    assert done.code == 2
    assert (
        done.err.strip()
        == f"evalkit: {path}:3: unknown key rules.1.max_dorp; did you mean max_drop?"
    )


def test_init_writes_a_template_once(evalkit_command, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    assert evalkit_command("gate", "--init", "--config", path).code == 0
    assert "max_drop" in path.read_text()
    done = evalkit_command("gate", "--init", "--config", path)
    assert (done.code, "exists already" in done.err) == (2, True)


def test_without_a_run_the_command_says_what_to_name(evalkit_command) -> None:
    done = evalkit_command("gate")
    assert done.code == 2
    assert "Name one thing to judge" in done.err
