"""Several runs: series, tie groups, unpaired scores, categories, plots, planning."""

import json

import pytest
from scipy import stats

from evalkit.errors import UsageError
from evalkit.results import (
    NotComparableError,
    Store,
    category_flips,
    compare,
    compare_many,
    compare_series,
    macro_difference,
    standings,
)
from evalkit.results.planning import power
from evalkit.results.text import macro_line
from evalkit.stats import holm
from tests.cli.command import Command
from tests.stores import make_store

RUNS = {"a": 0.4, "b": 0.5, "c": 0.62, "d": 0.6}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    tasks = ["facts", "answers", "stories"]
    return make_store(tmp_path_factory.mktemp("store"), runs=RUNS, tasks=tasks, n=80)


def test_several_candidates_share_one_correction(store: Store) -> None:
    found = compare_many("a", ["b", "c", "d"], store)
    tested = [row for c in found for row in c.differences if row.p is not None]
    assert [row.p_holm for row in tested] == pytest.approx(holm([row.p for row in tested]))
    assert [c.candidate.name for c in found] == ["b", "c", "d"]


def test_a_series_has_one_trend_a_task_and_the_last_against_the_best(store: Store) -> None:
    series = compare_series(["a", "b", "c", "d"], store)
    curves = {curve.task: curve for curve in series.curves}
    values = [point.value for point in curves["stories"].points]
    slope = stats.linregress([1, 2, 3, 4], values).slope
    assert curves["stories"].trend.slope == pytest.approx(slope)
    assert curves["stories"].reading == "getting better"
    assert curves["answers"].trend_p < 0.05
    best = curves["answers"].best
    if best != "d":
        expected = compare(best, "d", store).differences
        row = next(row for row in expected if row.metric == "exact_match")
        assert curves["answers"].last.p == row.p
    assert json.dumps(series.to_dict(), allow_nan=False)


def test_a_series_needs_three_runs(store: Store) -> None:
    with pytest.raises(UsageError, match="at least three"):
        compare_series(["a", "b"], store)
    with pytest.raises(UsageError, match="named twice"):
        compare_series(["a", "b", "a"], store)


def test_ties_are_told_by_the_paired_test_against_the_best(store: Store) -> None:
    runs = [store.resolve(name) for name in RUNS]
    rows = [row for row in standings(store, runs) if row.task == "stories"]
    assert rows[0].mark == "best"
    assert rows[0].value == min(row.value for row in rows)
    others = compare_many(rows[0].run, [row.run for row in rows[1:]], store)
    p = [next(r.p for r in c.differences if r.metric == "word_perplexity") for c in others]
    for row, corrected in zip(rows[1:], holm(p), strict=True):
        assert row.p == pytest.approx(corrected, rel=0.5)
        assert row.mark == ("tied" if row.p >= 0.05 else "behind")


def test_the_macro_average_is_the_mean_of_the_shares(store: Store) -> None:
    comparison = compare("a", "d", store)
    primary = {"facts": "acc_norm", "answers": "exact_match"}
    rows = [row for row in comparison.differences if primary.get(row.task) == row.metric]
    found = macro_difference(comparison)
    assert found.tasks == 2
    assert found.value == pytest.approx(sum(row.difference for row in rows) / 2)


def test_categories_count_what_flipped(store: Store) -> None:
    comparison = compare("a", "d", store)
    rows = [row for row in category_flips(comparison) if row.task == "facts"]
    whole = next(row for row in comparison.differences if row.metric == "acc_norm")
    assert sum(row.won for row in rows) == whole.wins
    assert sum(row.lost for row in rows) == whole.losses
    assert sum(row.n for row in rows) == whole.n


def test_what_cannot_be_paired_is_compared_unpaired_when_asked(tmp_path) -> None:
    make_store(tmp_path, runs={"zero": 0.4}, tasks=["facts"], n=60)
    store = make_store(
        tmp_path, runs={"none": 0.5, "few": 0.8}, tasks=["facts"], n=60, num_fewshot=2
    )
    with pytest.raises(NotComparableError, match="--unpaired"):
        compare("zero", "few", store)
    row = compare("zero", "few", store, unpaired=True).differences[0]
    assert row.test == "chi-squared"
    assert row.ci_low < row.difference < row.ci_high
    assert "unpaired: the prompts differ" in row.note
    assert row.wins is None


def test_power_plans_from_the_newest_pair(store: Store) -> None:
    found = power("answers", 0.1, store)
    row = next(r for r in compare("c", "d", store).differences if r.metric == "exact_match")
    assert found.deviation == pytest.approx(row.stderr * row.n**0.5)
    assert found.needed == pytest.approx((2.8016 * found.deviation / 0.1) ** 2, abs=1)
    assert power("unknown", 0.02, store).basis.startswith("assumed")
    with pytest.raises(UsageError, match="no metric 'bleu'"):
        power("answers", 0.1, store, metric="bleu")


def test_plots_are_png_files(store: Store, evalkit_command: Command, tmp_path) -> None:
    for options, name in (([], "forest.png"), (["--series"], "curves.png")):
        path = tmp_path / name
        done = evalkit_command(
            "compare", "a", "b", "d", "--store", store.url, "--plot", path, *options
        )
        assert done.code == 0
        assert path.read_bytes().startswith(b"\x89PNG")
    refused = evalkit_command("compare", "a", "b", "--store", store.url, "--plot", "x.pdf")
    assert refused.code == 2
    assert "ends in .png" in refused.err


def test_several_runs_by_command(store: Store, evalkit_command: Command) -> None:
    shown = evalkit_command("compare", "a", "b", "d", "--store", store.url)
    assert "Who cannot be told from the best" in shown.out
    found = json.loads(
        evalkit_command("compare", "a", "b", "d", "--store", store.url, "--json").out
    )
    assert len(found["comparisons"]) == 2
    assert {row["mark"] for row in found["standings"]} <= {"best", "tied", "behind"}
    planned = evalkit_command(
        "power", "--task", "answers", "--effect", "0.05", "--store", store.url
    )
    assert "samples find a difference of 0.05" in planned.out


def test_runs_that_share_no_samples_have_no_best(tmp_path, evalkit_command: Command) -> None:
    make_store(tmp_path, runs=["zero"], tasks=["facts", "stories"], n=20)
    store = make_store(tmp_path, runs=["x", "few", "again"], tasks=["facts"], n=20, num_fewshot=2)
    curve = compare_series(["zero", "few", "again"], store).curves[0]
    assert (curve.best, curve.last, curve.reading) == (None, None, "the runs share no samples")
    shown = evalkit_command("compare", "zero", "few", "again", "--series", "--store", store.url)
    assert "not all runs have stories: left out." in shown.err


def test_a_run_against_itself_is_said_to_be(store: Store) -> None:
    found = compare("a", "a", store)
    assert "a is compared with itself." in found.notes
    average = macro_difference(found)
    assert (average.value, average.ci_low, average.p) == (0.0, None, None)
    assert macro_line(average) == "Mean over 2 tasks: 0.0000."


def test_a_page_has_the_mean_the_categories_and_the_places(
    store: Store, evalkit_command: Command
) -> None:
    page = evalkit_command(
        "compare", "a", "b", "d", "--store", store.url, "--markdown", "--flips", "2"
    ).out
    for part in ("Mean over 2 tasks", "### Changes by category", "### Samples that changed",
                 "## Who cannot be told from the best"):  # fmt: skip
        assert part in page
