"""Runs compared sample by sample: values, directions, pairing, refusals, flips."""

import json

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evalkit.errors import DataError, UsageError
from evalkit.results import NotComparableError, Store, compare, flips
from tests.stores import TASKS, make_store, rewrite_run


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return make_store(tmp_path_factory.mktemp("store"), tasks=TASKS, n=60)


def difference(comparison, task: str, metric: str):
    rows = [row for row in comparison.differences if (row.task, row.metric) == (task, metric)]
    assert len(rows) == 1
    return rows[0]


def test_values_are_those_of_the_scores_where_every_sample_pairs(store: Store) -> None:
    comparison = compare("early", "late", store)
    scores = store.scores().set_index(["run_id", "task", "metric"])["value"]
    for row in comparison.differences:
        key = (row.task, row.metric)
        assert row.baseline == pytest.approx(scores[(comparison.baseline.run_id, *key)])
        assert row.candidate == pytest.approx(scores[(comparison.candidate.run_id, *key)])
        assert row.difference == pytest.approx(row.candidate - row.baseline)
        assert row.n == 60
    assert comparison.differences[0].task == "facts"
    assert comparison.notes == ()


def test_binary_metric_counts_wins_and_losses_and_uses_mcnemar(store: Store) -> None:
    comparison = compare("early", "late", store)
    row = difference(comparison, "facts", "acc")
    a, b = (
        np.array([s["acc"][0] for s in store.samples(run.run_id, "facts")["statistics"]])
        for run in (comparison.baseline, comparison.candidate)
    )
    assert (row.wins, row.losses) == ((b > a).sum(), (a > b).sum())
    assert row.ties == 60 - row.wins - row.losses
    assert row.p == pytest.approx(stats.binomtest(row.losses, row.wins + row.losses).pvalue)


def test_lower_is_better_turns_wins_but_not_the_difference(store: Store) -> None:
    row = difference(compare("early", "late", store), "stories", "word_perplexity")
    assert row.difference < 0
    assert row.gain > 0
    assert row.wins > row.losses
    assert row.higher_is_better is False
    assert row.ci_low < row.difference < row.ci_high < 0


def test_clusters_and_corrections(store: Store) -> None:
    comparison = compare("early", "late", store)
    assert difference(comparison, "passages", "acc").n_clusters == 12
    assert difference(comparison, "passages", "acc").test == "cluster sign-flip"
    tested = [row for row in comparison.differences if row.p is not None]
    expected = multipletests([row.p for row in tested], method="holm")[1]
    assert [row.p_holm for row in tested] == pytest.approx(list(expected))


def test_a_metric_that_is_no_sum_is_compared_by_value_only(store: Store) -> None:
    row = difference(compare("early", "late", store), "latency", "first_token_p50")
    assert row.difference == pytest.approx(row.candidate - row.baseline)
    assert (row.p, row.test, row.ci_low, row.wins) == (None, None, None, None)
    assert "values only" in row.note


def test_timings_are_compared_by_value_only(tmp_path) -> None:
    """The clock measures the machine too, however well a mean of seconds could be paired."""
    store = make_store(tmp_path, tasks=["latency"], n=20)
    row = difference(compare("early", "late", store), "latency", "mean_s")
    assert row.difference == pytest.approx(row.candidate - row.baseline)
    assert (row.p, row.wins) == (None, None)
    assert "a timing" in row.note


def test_small_p_values_survive_the_correction_over_many_tests(store: Store) -> None:
    comparison = compare("early", "late", store)
    assert comparison.draws == max(10_000, 200 * len(comparison.differences))


def test_a_run_against_itself_is_all_ties(store: Store) -> None:
    for row in compare("early", "early", store).differences:
        assert row.difference == 0
        if row.test:
            assert (row.wins, row.losses, row.p, row.p_holm) == (0, 0, 1.0, 1.0)
    assert flips(compare("early", "early", store)) == []


def test_other_order_of_samples_pairs_alike(store: Store) -> None:
    rewrite_run(store, "shuffled", lambda task, rows: rows[::-1])
    straight, shuffled = compare("early", "late", store), compare("early", "shuffled", store)
    assert shuffled.frame().equals(straight.frame())


def test_partial_overlap_is_noted_and_values_are_over_the_pairs(store: Store) -> None:
    rewrite_run(store, "partial", lambda task, rows: rows[:20])
    comparison = compare("early", "partial", store)
    row = difference(comparison, "answers", "exact_match")
    kept = store.samples(comparison.baseline.run_id, "answers")["statistics"][:20]
    assert row.n == 20
    assert row.baseline == pytest.approx(np.mean([s["exact_match"][0] for s in kept]))
    assert "20 pairs of 60 and 60 samples" in row.note


def test_repeated_documents_pair_one_to_one_in_order(tmp_path) -> None:
    store = make_store(tmp_path, tasks=["answers"], n=6)

    def repeat(task: str, rows: list) -> list:
        for number, row in enumerate(rows):
            row |= {"doc_hash": "same", "prompt_hash": "same"}
            row["statistics"] = [("exact_match", [float(number % 2)])]
        return rows

    rewrite_run(store, "a", repeat)
    rewrite_run(store, "b", repeat, run="early")
    row = difference(compare("a", "b", store), "answers", "exact_match")
    assert (row.n, row.ties, row.baseline, row.candidate) == (6, 6, 0.5, 0.5)


def test_other_prompts_are_refused_with_the_shots(tmp_path) -> None:
    make_store(tmp_path, runs=["zero"], tasks=["facts"], n=5)
    other = make_store(
        tmp_path, runs={"none": 0.5, "few": 0.6}, tasks=["facts"], n=5, num_fewshot=2
    )
    with pytest.raises(NotComparableError, match=r"facts: the prompts differ \(0-shot against 2"):
        compare("zero", "few", other)


def test_other_documents_are_refused(tmp_path) -> None:
    make_store(tmp_path, runs=["a"], tasks=["facts"], n=5)

    def other(task: str, rows: list) -> list:
        return [row | {"doc_hash": f"new-{row['doc_id']}"} for row in rows]

    store = rewrite_run(Store(tmp_path), "b", other, run="a")
    with pytest.raises(UsageError, match="facts: the documents differ"):
        compare("a", "b", store)


def test_runs_without_a_common_task_are_refused(tmp_path) -> None:
    make_store(tmp_path, runs=["a"], tasks=["facts"], n=5)
    store = make_store(tmp_path, runs={"x": 0.5, "b": 0.5}, tasks=["stories"], n=5)
    with pytest.raises(NotComparableError, match="no task in common: facts against stories"):
        compare("a", "b", store)


def test_tasks_of_one_run_only_are_noted(tmp_path) -> None:
    make_store(tmp_path, runs=["a"], tasks=["facts", "answers"], n=5)
    store = make_store(tmp_path, runs={"x": 0.4, "b": 0.5}, tasks=["facts"], n=5)
    comparison = compare("a", "b", store)
    assert {row.task for row in comparison.differences} == {"facts"}
    assert comparison.notes == ("only a has answers.",)


def test_a_metric_that_some_samples_lack_uses_the_others(tmp_path) -> None:
    store = make_store(tmp_path, tasks=["answers"], n=10)

    def thin(task: str, rows: list) -> list:
        return [row | {"statistics": []} if row["doc_id"] < 4 else row for row in rows]

    row = difference(
        compare("early", "thin", rewrite_run(store, "thin", thin)), "answers", "exact_match"
    )
    assert row.n == 6


def test_one_sample_has_a_difference_but_no_test(tmp_path) -> None:
    store = make_store(tmp_path, tasks=["answers"], n=1)
    row = difference(compare("early", "late", store), "answers", "exact_match")
    assert (row.n, row.p, row.p_holm, row.note) == (1, None, None, "too few samples to test")


def test_unknown_runs_are_named(store: Store) -> None:
    with pytest.raises(UsageError, match="'nobody'"):
        compare("early", "nobody", store)


def test_the_margin_can_be_moved(store: Store) -> None:
    comparison = compare("late", "early", store)
    row = difference(comparison, "facts", "acc")
    beyond = comparison.against("facts", "acc", "none", null=row.difference)
    assert row.p < 0.05 < beyond.p
    assert comparison.against("latency", "first_token_p50", "none", null=0.0) is None


def test_flips_are_the_discordant_pairs_losses_first(store: Store) -> None:
    comparison = compare("early", "late", store)
    row = difference(comparison, "answers", "exact_match")
    found = flips(comparison, "answers", limit=100)
    assert [flip.outcome for flip in found] == ["lost"] * row.losses + ["won"] * row.wins
    for flip in found:
        assert flip.candidate_value - flip.baseline_value == (1 if flip.outcome == "won" else -1)
        right = flip.candidate_answer if flip.outcome == "won" else flip.baseline_answer
        assert right == flip.target
        assert f"miller {flip.doc_id}." in flip.prompt
    assert len(flips(comparison, "answers", limit=3)) == 3


def test_flips_of_a_graded_metric_come_by_size(store: Store) -> None:
    found = flips(compare("early", "late", store), "stories", "word_perplexity", limit=5)
    changes = [flip.baseline_value - flip.candidate_value for flip in found]
    assert changes == sorted(changes, reverse=True)
    assert all(flip.outcome == "won" for flip in found)
    with pytest.raises(UsageError, match="stories bleu"):
        flips(compare("early", "late", store), "stories", "bleu")


def test_the_table_is_json(store: Store) -> None:
    found = json.loads(json.dumps(compare("early", "late", store).to_dict(), allow_nan=False))
    assert found["baseline"]["name"] == "early"
    assert found["differences"][0]["metric"] == "acc"


def test_of_many_damaged_tasks_the_first_are_told(tmp_path):
    store = make_store(tmp_path, n=5)
    samples = sorted(tmp_path.glob("*late*/samples/*.parquet"))
    for path in samples:
        path.write_bytes(b"PAR1")
    with pytest.raises(DataError) as told:
        compare("early", "late", store, around_damage=True)
    assert str(told.value).count("cannot be read") == 3
    assert str(told.value).endswith(f"; and {len(samples) - 3} more")


def test_a_damaged_samples_file_costs_its_task_where_that_is_asked(tmp_path):
    store = make_store(tmp_path, tasks=["facts", "answers"], n=20)
    whole = compare("early", "late", store)
    store.filesystem.pipe_file(store.samples_path(whole.candidate.run_id, "facts"), b"PAR1")
    with pytest.raises(DataError, match=r"facts\.parquet cannot be read"):
        compare("early", "late", store)
    found = compare("early", "late", store, around_damage=True)
    assert [row.task for row in found.differences] == ["answers"]
    kept = next(row for row in whole.differences if row.task == "answers")
    assert found.differences[0].p == kept.p
    assert "facts.parquet cannot be read" in found.damaged["facts"]
    store.filesystem.pipe_file(store.samples_path(whole.candidate.run_id, "answers"), b"")
    with pytest.raises(DataError, match=r"facts.parquet .*answers.parquet"):
        compare("early", "late", store, around_damage=True)


def test_where_there_are_too_many_flips_both_ways_are_shown(store: Store) -> None:
    comparison = compare("early", "late", store)
    (figure,) = (row for row in comparison.differences if row.metric == "bleu")
    assert figure.losses > 3
    assert figure.wins > 10
    outcomes = [flip.outcome for flip in flips(comparison, "translation", limit=7)]
    assert outcomes == ["lost"] * 4 + ["won"] * 3
    every = [flip.outcome for flip in flips(comparison, "translation", limit=100)]
    assert every == ["lost"] * figure.losses + ["won"] * figure.wins
    many = [flip.outcome for flip in flips(comparison, "translation", limit=2 * figure.losses + 2)]
    assert many == ["lost"] * figure.losses + ["won"] * (figure.losses + 2)
