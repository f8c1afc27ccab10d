"""What a leaderboard shows: filters, and suites as columns."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from evalkit.results import Choice, Store, overview, select_board, suite_scores, suites
from tests.stores import make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"
SUITES = {"all": ["facts", "passages", "answers", "stories"], "reading": ["passages", "answers"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = make_store(tmp_path_factory.mktemp("store"), n=40)
    for run, tags in ((EARLY, {"branch": "main"}), (LATE, {"branch": "try", "best": "yes"})):
        made.write_manifest(made.resolve(run).model_copy(update={"tags": tags, "suites": SUITES}))
    return made


@pytest.fixture(scope="module")
def view(store):
    return overview(store)


def runs_of(view, **choice):
    return list(select_board(view, Choice(**choice)).runs["run_id"])


def test_without_a_choice_everything_is_shown(view):
    board = select_board(view, Choice())
    assert list(board.runs["run_id"]) == [LATE, EARLY]
    assert set(board.scores["task"]) == {"facts", "passages", "answers", "translation", "stories"}
    assert set(board.scores["mark"]) >= {"best"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"models": ("early",)}, [EARLY]),
        ({"tags": ("branch=try",)}, [LATE]),
        ({"tags": ("branch=try", "best=yes")}, [LATE]),
        ({"tags": ("branch=main", "best=yes")}, []),
        ({"since": date(2026, 1, 2)}, [LATE]),
        ({"until": date(2026, 1, 1)}, [EARLY]),
        ({"since": date(2026, 1, 1), "until": date(2026, 1, 2)}, [LATE, EARLY]),
        ({"text": "EARLY"}, [EARLY]),
        ({"text": "nobody"}, []),
        ({"family": "none of these"}, []),
    ],
)
def test_runs_are_filtered(view, choice, expected):
    assert runs_of(view, **choice) == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"tasks": ("facts",)}, {"facts"}),
        ({"suite": "reading"}, {"passages", "answers"}),
        ({"suite": "reading", "tasks": ("passages", "facts")}, {"passages"}),
        ({"family": "perplexity"}, {"stories"}),
        ({"text": "passages"}, {"passages"}),
        ({"metric": "acc"}, {"facts", "passages"}),
    ],
)
def test_tasks_are_filtered(view, choice, expected):
    assert set(select_board(view, Choice(**choice)).scores["task"]) == expected


def test_a_suite_is_the_mean_of_one_metric_over_its_tasks(view):
    board = select_board(view, Choice(by_suite=True)).scores
    assert set(board["figure"]) == {
        "all · acc_norm · 2 tasks",
        "all · exact_match · 1 task",
        "reading · acc_norm · 1 task",
        "reading · exact_match · 1 task",
    }
    mine = board.set_index(["run_id", "figure"]).loc[(LATE, "all · acc_norm · 2 tasks")]
    scores = view.scores.query("run_id == @LATE and metric == 'acc_norm'")
    assert mine["value"] == pytest.approx(scores["value"].mean())
    stderr = np.sqrt((scores["stderr"] ** 2).sum()) / 2
    assert mine["stderr"] == pytest.approx(stderr)
    assert mine["ci_high"] - mine["value"] == pytest.approx(1.959964 * stderr, rel=1e-6)


def test_a_run_that_lacks_a_task_has_no_value_of_the_suite(view):
    scores = view.scores
    scores = scores[~((scores["run_id"] == EARLY) & (scores["task"] == "facts"))]
    found = suite_scores(scores, SUITES)
    assert list(found.loc[found["figure"] == "all · acc_norm · 2 tasks", "run_id"]) == [LATE]


def test_a_suite_over_another_task_definition_is_not_comparable(view):
    scores = view.scores.copy()
    scores.loc[(scores["run_id"] == EARLY) & (scores["task"] == "facts"), "data_hash"] = "other"
    found = suite_scores(scores, SUITES).set_index(["figure", "run_id"])
    hashes = found.loc["all · acc_norm · 2 tasks", "config_hash"]
    assert hashes[EARLY] != hashes[LATE]
    hashes = found.loc["reading · acc_norm · 1 task", "config_hash"]
    assert hashes[EARLY] == hashes[LATE]


def test_an_undefined_error_makes_an_undefined_interval(view):
    scores = view.scores.assign(stderr=np.nan)
    found = suite_scores(scores, SUITES)
    assert found["value"].notna().all()
    assert found[["stderr", "ci_low", "ci_high"]].isna().all().all()


def test_a_store_without_suites(tmp_path):
    view = overview(make_store(tmp_path, tasks=["facts"], n=8))
    assert suites(view) == {}
    board = select_board(view, Choice(by_suite=True))
    assert board.scores.empty
    assert board.runs.empty
    assert select_board(overview(Store(tmp_path / "none")), Choice()).runs.empty


def test_what_is_kept_of_the_view_is_not_changed(view):
    before = view.scores.copy()
    select_board(view, Choice(by_suite=True, text="a"))
    pd.testing.assert_frame_equal(view.scores, before)
