"""Verdicts that a store keeps: written by the gate, read as histories."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from evalkit.gating import GateConfig, gate
from evalkit.results import (
    Store,
    keep_verdict,
    margin_history,
    overview,
    read_verdicts,
    verdict_files,
    verdict_history,
    waivers,
)
from tests.stores import make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), tasks=["facts", "stories"], n=40)


def kept(**changes):
    """A small gate.json."""
    check = {
        "task": "facts",
        "metric": "acc",
        "filter": "none",
        "limit": "max_drop 0.01",
        "verdict": "pass",
        "reason": "fine",
        "difference": 0.02,
        "ci_low": -0.01,
        "ci_high": 0.06,
        "excess": -0.03,
    }
    run = {"run_id": EARLY, "name": "early"}
    return {"run": run, "exit_code": 0, "headline": "good", "checks": [{**check, **changes}]}


def test_a_gate_keeps_what_it_reports(store, tmp_path):
    result = gate(EARLY, baseline=LATE, store=store.url, output=tmp_path)
    reported = json.loads((tmp_path / "gate.json").read_text())
    verdicts = read_verdicts(store)
    (verdict,) = verdicts.kept
    assert verdicts.problems == []
    assert verdict.exit_code == result.exit_code == 1
    assert verdict.outcome == "regressed"
    assert verdict.headline == reported["headline"]
    assert [check.excess for check in verdict.checks] == [c["excess"] for c in reported["checks"]]
    assert abs((datetime.now(UTC) - verdict.created).total_seconds()) < 60
    rows = margin_history(verdicts)
    assert list(rows["margin"]) == [-check.excess for check in result.checks]
    assert list(rows["run_id"].unique()) == [EARLY]


def test_a_run_is_no_run_for_its_verdicts(store):
    keep_verdict(store, kept())
    assert set(overview(store).manifests) == {EARLY, LATE}
    assert overview(store).problems == []


def test_a_store_that_cannot_be_written_does_not_fail_the_gate(tmp_path):
    store = make_store(tmp_path, tasks=["facts"], n=20)
    (tmp_path / ".gates").write_text("in the way")
    result = gate(LATE, baseline=EARLY, store=store.url)
    assert result.exit_code in (0, 5)
    assert any("is not kept in the store" in note for note in result.notes)
    assert read_verdicts(store).kept == []


@pytest.mark.parametrize("url", ["memory://gates-kept", "{tmp}/local"])
def test_the_newest_come_first_and_the_others_stay_unread(url, tmp_path):
    store = Store(url.format(tmp=tmp_path))
    assert read_verdicts(store).kept == []
    for day in (3, 1, 2, 5, 4):
        content = {**kept(), "headline": f"day {day}"}
        keep_verdict(store, content, START + timedelta(days=day))
    found = read_verdicts(store, newest=3)
    assert [verdict.headline for verdict in found.kept] == ["day 5", "day 4", "day 3"]
    assert found.total == 5
    assert len(verdict_files(store)) == 5


def test_a_damaged_verdict_is_told_and_left_out(tmp_path):
    store = Store(tmp_path)
    good = keep_verdict(store, kept(), START)
    for name, text in (("cut", "{"), ("other", "[1]"), ("half", '{"created": 3}')):
        (tmp_path / ".gates" / f"2027-{name}.json").write_text(text)
    (tmp_path / ".gates" / "unfinished.tmp").write_text("{")
    found = read_verdicts(store)
    assert len(found.kept) == 1
    assert len(found.problems) == 3
    assert all("is not a readable verdict" in problem for problem in found.problems)
    assert good.endswith(".json")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # A fall: the lower end of the difference is the lower end of the room.
        ({}, (0.03, 0.0, 0.07)),
        ({"limit": "min 0.5", "difference": None, "value": 0.6, "ci_low": 0.5, "ci_high": 0.65,
          "excess": -0.1}, (0.1, 0.0, 0.15)),
        # A rise: its upper end is.
        ({"limit": "max_rise 2%", "difference": 0.02, "ci_low": -0.01, "ci_high": 0.06,
          "excess": 0.01}, (-0.01, -0.05, 0.02)),
        ({"ci_low": None}, (0.03, None, None)),
        ({"excess": None}, (None, None, None)),
    ],
)  # fmt: skip
def test_margins_with_their_intervals(tmp_path, changes, expected):
    store = Store(tmp_path)
    keep_verdict(store, kept(**changes), START)
    (verdict,) = read_verdicts(store).kept
    assert verdict.checks[0].margin == pytest.approx(expected)
    assert len(margin_history(read_verdicts(store))) == (expected[0] is not None)


def test_histories(tmp_path):
    store = Store(tmp_path)
    keep_verdict(store, kept(), START)
    keep_verdict(store, kept(verdict="waived", reason="until summer"), START + timedelta(days=1))
    keep_verdict(store, {**kept(), "run": None, "exit_code": 3, "checks": []}, START - timedelta(1))
    verdicts = read_verdicts(store)
    history = verdict_history(verdicts, {EARLY: ["branch=main"]})
    assert list(history["outcome"]) == ["passed", "passed", "incomplete"]
    assert list(history["waived"]) == [1, 0, 0]
    assert list(history["tags"]) == [["branch=main"], ["branch=main"], []]
    assert list(margin_history(verdicts)["created"]) == [START, START + timedelta(days=1)]
    waived = waivers(verdicts)
    assert list(waived["reason"]) == ["until summer"]
    assert list(waived["rule"]) == ["facts · acc max_drop 0.01"]


def test_names_of_runs_are_no_paths(tmp_path):
    store = Store(tmp_path / "store")
    path = keep_verdict(store, {**kept(), "run": {"run_id": "../../x/y", "name": "x"}}, START)
    assert path.startswith(f"{store.root}/.gates/")
    assert not (tmp_path / "x").exists()
    assert len(read_verdicts(store).kept) == 1


def test_a_rule_of_a_value_alone(store):
    rules = {"version": 1, "rules": [{"task": "facts", "metric": "acc", "min": 0.9}]}
    result = gate(EARLY, GateConfig.model_validate(rules), store=store.url)
    row = margin_history(read_verdicts(store)).query("rule == 'facts · acc min 0.9'").iloc[0]
    (check,) = result.checks
    assert row["margin"] == pytest.approx(check.value - 0.9)
    assert row["margin_low"] == pytest.approx(check.ci_low - 0.9)
    assert row["margin_high"] == pytest.approx(check.ci_high - 0.9)
