"""Questions over all runs of a store."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from evalkit.results import (
    Store,
    fingerprint,
    leaderboard,
    manifest_differences,
    overview,
    primary_metric,
    task_overview,
)
from tests.stores import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), runs=("early", "middle", "late"))


@pytest.fixture(scope="module")
def view(store):
    return overview(store)


def adopt(store, folder, run_id):
    """Copy a run's folder into a store under another id."""
    shutil.copytree(folder, store / run_id)
    manifest = store / run_id / "run.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"run_id": run_id}))


def test_runs_come_newest_first(view):
    assert list(view.runs["name"]) == ["late", "middle", "early"]
    assert list(view.manifests) == list(view.runs["run_id"])
    assert view.runs["created"].is_monotonic_decreasing
    assert view.problems == []


def test_scores_are_those_of_the_store(store, view):
    columns = ["run_id", "task", "metric", "value", "ci_low", "ci_high", "n"]
    key = ["run_id", "task", "metric"]
    mine = view.scores[columns].sort_values(key).reset_index(drop=True)
    stored = store.scores()[columns].sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, stored)


def test_raw_and_normalised_never_share_a_column(view):
    board = leaderboard(view.scores)
    assert set(board.loc[board["task"] == "facts", "metric"]) == {"acc_norm"}
    assert set(leaderboard(view.scores, "acc")["metric"]) == {"acc"}
    assert (board.groupby("figure")["metric"].nunique() == 1).all()
    assert set(board.groupby(["run_id", "task"]).size()) == {1}


def test_shots_never_share_a_column(tmp_path):
    make_store(tmp_path, runs=("plain",), tasks=["facts"], n=10)
    shots = make_store(tmp_path / "2", runs=("shown",), tasks=["facts"], n=10, num_fewshot=2)
    adopt(tmp_path, next((tmp_path / "2").iterdir()), "20260209-000000-shown")
    board = leaderboard(overview(Store(tmp_path)).scores)
    assert sorted(board["figure"]) == ["facts · acc_norm · 0-shot", "facts · acc_norm · 2-shot"]
    assert overview(shots).scores["figure"].str.contains("shot").sum() == 0


def test_runs_on_other_documents_are_never_marked(tmp_path):
    make_store(tmp_path, runs={"a": 0.5, "b": 0.6}, tasks=["answers"], n=50)
    make_store(tmp_path / "2", runs={"c": 0.95}, tasks=["answers"], n=20)
    adopt(tmp_path, next((tmp_path / "2").iterdir()), "20260209-000000-c")
    board = leaderboard(overview(Store(tmp_path)).scores).set_index("run_id")
    assert not board.loc["20260209-000000-c", "comparable"]
    assert board.loc["20260209-000000-c", "mark"] == ""
    assert list(board.loc[board["comparable"], "mark"]).count("best") == 1


def frame(values, better=True, widths=0.02):
    value = np.array(values, dtype=float)
    return pd.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(len(value))],
            "figure": "t · m",
            "metric": "m",
            "primary": True,
            "value": value,
            "ci_low": value - widths,
            "ci_high": value + widths,
            "higher_is_better": better,
            "config_hash": "c",
            "data_hash": "d",
        }
    )


def test_the_best_and_those_not_told_apart_from_it():
    # Two half-widths of 0.02 make one of 0.02 * sqrt(2) = 0.02828 for the difference.
    assert list(leaderboard(frame([0.5018, 0.5017, 0.53]))["mark"]) == ["tied", "", "best"]


def test_ties_agree_with_newcombes_interval_of_a_difference_of_proportions():
    draws = np.random.default_rng(0).integers(10, 90, (60, 2))
    for low, high in np.sort(draws[draws[:, 0] != draws[:, 1]], axis=1):
        rows = frame([low / 100, high / 100])
        for place, count in enumerate((low, high)):
            ends = proportion_confint(count, 100, method="wilson")
            rows.loc[place, ["ci_low", "ci_high"]] = ends
        least, _ = confint_proportions_2indep(high, 100, low, 100, method="newcomb")
        assert (leaderboard(rows)["mark"][0] == "tied") == (least <= 0)


def test_less_is_better_where_the_score_says_so():
    assert list(leaderboard(frame([3.0, 2.0, 2.01], better=False))["mark"]) == ["", "best", "tied"]


def test_nothing_is_marked_without_a_direction_or_a_rival():
    assert set(leaderboard(frame([1.0, 2.0], better=None))["mark"]) == {""}
    assert set(leaderboard(frame([1.0]))["mark"]) == {""}
    assert set(leaderboard(frame([1.0, np.nan]))["mark"]) == {""}


def test_equal_values_are_both_best_unless_all_are_equal():
    assert list(leaderboard(frame([0.5, 0.5, 0.3]))["mark"]) == ["best", "best", ""]
    assert list(leaderboard(frame([0.0, 0.0]))["mark"]) == ["", ""]


def test_a_value_without_an_interval_is_best_but_never_tied():
    rows = frame([0.5, 0.51, 0.4])
    rows[["ci_low", "ci_high"]] = np.nan
    assert list(leaderboard(rows)["mark"]) == ["", "best", ""]


def test_primary_metric():
    assert primary_metric([("acc", "none"), ("acc_norm", "none")]) == ("acc_norm", "none")
    gsm = [("exact_match", "flexible-extract"), ("exact_match", "strict-match")]
    assert primary_metric(gsm) == ("exact_match", "strict-match")
    assert primary_metric([("second", "none"), ("first", "none")]) == ("second", "none")
    with pytest.raises(ValueError, match="without figures"):
        primary_metric([])


def test_tasks_as_they_were_run(view):
    tasks = task_overview(view).set_index("task")
    assert tasks.loc["facts", "metric"] == "acc_norm"
    assert sorted(tasks.loc["facts", "figures"]) == ["acc", "acc_norm"]
    assert (tasks["runs"] == 3).all()
    assert set(tasks["run_id"]) == {view.runs["run_id"].iloc[0]}


def test_manifest_differences_name_only_what_differs(view):
    late, _, early = view.manifests.values()
    found = manifest_differences(early, late).set_index("setting")
    assert found.loc["model.path"].tolist() == ["models/early", "models/late"]
    assert not any(name.startswith(("tasks", "settings", "run_id")) for name in found.index)
    assert manifest_differences(late, late).empty


def test_a_damaged_run_is_named_and_the_others_are_shown(tmp_path):
    store = make_store(tmp_path, tasks=["facts"], n=10)
    first, second = sorted(tmp_path.iterdir())
    (first / "scores.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "half-written").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text("{")
    view = overview(store)
    assert list(view.runs["run_id"]) == [second.name]
    assert len(view.problems) == 2
    assert any(str(first) in problem for problem in view.problems)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_store_without_runs_is_an_empty_overview(tmp_path, make):
    make(tmp_path / "none")
    view = overview(Store(tmp_path / "none"))
    assert view.runs.empty
    assert leaderboard(view.scores).empty
    assert task_overview(view).empty


def test_names_given_twice_become_unique_labels(tmp_path):
    store = make_store(tmp_path, runs=("same",), tasks=["facts"], n=5)
    folder = next(tmp_path.iterdir())
    adopt(tmp_path, folder, "20270101-000000-same")
    view = overview(store)
    assert view.runs["label"].is_unique
    assert set(view.scores["run_id"]) == {folder.name, "20270101-000000-same"}


def test_the_fingerprint_changes_with_the_store(tmp_path):
    store = Store(tmp_path)
    empty = fingerprint(store)
    make_store(tmp_path, runs=("one",), tasks=["facts"], n=5)
    one = fingerprint(store)
    assert one == fingerprint(Store(tmp_path))
    shutil.rmtree(next(tmp_path.iterdir()))
    assert len({empty, one}) == 2
    assert fingerprint(store) == empty


def test_a_store_in_memory_is_read_alike():
    store = make_store("memory://queries", tasks=["facts"], n=10)
    view = overview(store)
    assert len(view.runs) == 2
    assert fingerprint(store) != ""


def test_scores_of_another_shape_are_named_and_the_others_are_shown(tmp_path):
    store = make_store(tmp_path, tasks=["facts"], n=10)
    first, second = sorted(tmp_path.iterdir())
    pq.write_table(pa.table({"x": [1]}), first / "scores.parquet")
    view = overview(store)
    assert list(view.runs["run_id"]) == [second.name]
    assert view.problems == [
        f"{first}/scores.parquet cannot be read as Parquet: it has no column metric"
    ]
    names = {"task": [None], "metric": [None]}
    pq.write_table(pa.table(names), first / "scores.parquet")
    assert overview(store).problems == [f"{first}/scores.parquet names no task or no metric."]
