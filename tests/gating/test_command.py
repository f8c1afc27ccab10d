"""What the gate's commands refuse, in one sentence, and what they leave behind when they fail."""

import json
from pathlib import Path

import pytest

from evalkit.results import Store
from evalkit.results.baseline import set_baseline
from tests.cli.command import Command
from tests.stores import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return make_store(tmp_path_factory.mktemp("store"), tasks=["facts"], n=30)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("late", "--baseline", "early", "--output", ""), "--output '' is empty"),
        (("late", "--baseline", ""), "--baseline '' is empty"),
        (("late", "--config", ""), "--config '' is empty"),
        (("",), "RUN '' is empty"),
        (("late", "--baseline", "early", "--limit", "3"), "--limit says how to measure"),
        (("late", "--baseline", "early", "--batch-size", "3"), "--batch-size says how to measure"),
        (("late", "--baseline", "early", "--seed", "-1"), "--seed -1 is negative"),
        (("--model", "x", "--baseline", "early", "--seed", "-1"), "--seed -1 is negative"),
    ],
)
def test_wrong_use_is_one_sentence(
    store: Store, evalkit_command: Command, monkeypatch, tmp_path, arguments, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = evalkit_command("gate", *arguments, "--store", store.url)
    assert done.code == 2
    assert done.err.startswith(f"evalkit: {complaint}")
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_damaged_baseline_is_none(store: Store, evalkit_command: Command, tmp_path: Path) -> None:
    damaged = tmp_path / "bad.parquet"
    damaged.write_text("junk")
    done = evalkit_command("gate", "late", "--baseline", damaged, "--store", store.url)
    assert (done.code, "is no baseline file" in done.out) == (4, True)


def test_one_damaged_baseline_does_not_hide_the_others(
    evalkit_command: Command, tmp_path: Path
) -> None:
    store = make_store(tmp_path, tasks=["facts"], n=5)
    nothing = evalkit_command("baseline", "list", "--store", store.url)
    assert (nothing.code, nothing.out) == (0, "")
    assert "holds no baseline" in nothing.err
    set_baseline(store, "late", "main")
    (tmp_path / "baselines" / "bad.parquet").write_text("junk")
    listed = evalkit_command("baseline", "list", "--store", store.url)
    assert listed.code == 0
    assert "| main" in listed.out
    assert "bad.parquet is no baseline file" in listed.err
    missing = evalkit_command("gate", "late", "--baseline", "tag:mian", "--store", store.url)
    assert missing.code == 4
    assert "no baseline 'mian' (known: bad, main)" in missing.out


def test_a_failure_leaves_reports_and_annotations(
    store: Store, evalkit_command: Command, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    where = ("--store", store.url, "--output", tmp_path / "out")
    done = evalkit_command("gate", "--model", tmp_path / "no", "--baseline", "early", *where)
    assert done.code == 2
    assert done.out.startswith("::error title=evalkit gate::")
    report = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert report["exit_code"] == 2
    assert "There is no checkpoint" in report["problem"]
    assert "There is no checkpoint" in (tmp_path / "summary.md").read_text()


def test_a_missing_baseline_is_exit_4_before_anything_is_measured(
    store: Store, evalkit_command: Command, tmp_path: Path
) -> None:
    where = ("--store", store.url, "--output", tmp_path)
    done = evalkit_command("gate", "--model", tmp_path / "no", "--baseline", "gone", *where)
    assert (done.code, "'gone' names no run" in done.out) == (4, True)
    assert json.loads((tmp_path / "gate.json").read_text())["exit_code"] == 4


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("no-checkpoint", "--tasks", "nothing"), "There is no"),
        (("no-checkpoint", "--tasks", "nothing", "--seeds", "-1"), "Seed -1 is negative"),
    ],
)
def test_noise_refuses_in_one_sentence(
    evalkit_command: Command, arguments: tuple, complaint: str
) -> None:
    done = evalkit_command("noise", *arguments)
    assert done.code == 2
    assert done.err.startswith(f"evalkit: {complaint}")


@pytest.mark.parametrize(
    ("task", "effect", "complaint"),
    [
        ("micro_fact", "0.02", "no task 'micro_fact'; did you mean micro_facts"),
        ("micro_*", "0.02", "tasks; name one of them"),
        ("facts", "1.5", "differ by 1 at most"),
    ],
)
def test_power_knows_its_tasks(
    store: Store, evalkit_command: Command, task: str, effect: str, complaint: str
) -> None:
    done = evalkit_command("power", "--task", task, "--effect", effect, "--store", store.url)
    assert done.code == 2
    assert complaint in done.err
    known = evalkit_command("power", "--task", "micro_facts", "--effect", "0.02",
                            "--store", store.url)  # fmt: skip
    assert "assumed" in known.out
