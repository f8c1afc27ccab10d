"""The Gate page: verdicts, margins and waivers are those kept."""

from datetime import UTC, datetime

from evalkit.results import keep_verdict, read_verdicts
from tests.dashboard.content import add_verdicts
from tests.dashboard.shown import charts, tables, texts
from tests.stores import make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"


def test_the_history_is_that_of_the_store(open_page, store):
    app = open_page("gate", store)
    history, waived, checks = tables(app)
    assert list(history["outcome"]) == ["✗ regressed", "✓ passed", "✓ passed"]
    assert list(history["created"]) == [f"2026-03-0{day} 00:00" for day in (3, 2, 1)]
    assert list(history["waived"]) == [0, 1, 0]
    assert "3 verdicts: 2 passed, 1 regressed" in texts(app)
    assert list(waived["reason"]) == ["as it is"]
    assert list(checks["rule"]) == ["facts · acc_norm max_drop 0.01"]
    assert list(checks["margin"]) == ["-0.030"]
    (margins,) = charts(app).items()
    assert margins[0] == "Margin of facts · acc_norm max_drop 0.01 over time"
    days = [told.split("\n")[1].partition(": ")[0] for told in dict.fromkeys(margins[1])]
    assert sorted(days) == [f"0{day} Mar 2026 00:00" for day in (1, 2, 3)]


def test_a_link_names_a_verdict(open_page, store):
    app = open_page("gate", store, at="20260301T000000000000")
    assert "verdict of day 0: as it is" in texts(app)
    gone = open_page("gate", store, at="20250101T000000000000")
    assert "not among these" in texts(gone)
    assert "verdict of day 2: as it is" in texts(gone)


def test_verdicts_of_a_branch(open_page, tmp_path):
    store = add_verdicts(make_store(tmp_path, tasks=["facts"], n=8))
    run = store.resolve(EARLY)
    store.write_manifest(run.model_copy(update={"tags": {"branch": "try"}}))
    content = {
        "run": {"run_id": EARLY, "name": "early"},
        "exit_code": 4,
        "headline": "nothing to compare",
    }
    keep_verdict(store, content, datetime(2026, 4, 1, tzinfo=UTC))
    app = open_page("gate", store, of="branch=try")
    assert not app.exception
    assert list(tables(app)[0]["outcome"]) == ["– not comparable"]
    assert len(tables(open_page("gate", store))[0]) == 4


def test_a_store_without_verdicts(open_page, tmp_path):
    make_store(tmp_path, tasks=["facts"], n=8)
    app = open_page("gate", tmp_path)
    assert "keeps no verdicts yet" in texts(app)
    assert f"--store {tmp_path}" in texts(app)


def test_damaged_verdicts_are_a_sentence(open_page, tmp_path):
    store = add_verdicts(make_store(tmp_path, tasks=["facts"], n=8))
    damaged = tmp_path / ".gates" / "2030-damaged.json"
    damaged.write_text("{")
    app = open_page("gate", store)
    assert not app.exception
    assert "Some verdicts of this store cannot be read" in texts(app)
    assert str(damaged) in texts(app)
    assert len(tables(app)[0]) == len(read_verdicts(store).kept) == 3
