"""Questions about the samples of one task."""

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import DataError
from evalkit.results import (
    first_sample,
    overview,
    paired_index,
    sample_index,
    sample_rows,
    search_samples,
    select_samples,
)
from tests.stores import make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), n=60)


@pytest.fixture(scope="module")
def scores(store):
    return overview(store).scores


def score_of(scores, run_id, task, metric):
    fits = (scores["run_id"] == run_id) & (scores["task"] == task) & (scores["metric"] == metric)
    return scores[fits].iloc[0]


@pytest.fixture(scope="module")
def index_of(store, scores):
    def index(run_id, task, metric):
        return sample_index(store, run_id, task, score_of(scores, run_id, task, metric))

    return index


@pytest.mark.parametrize(("task", "metric"), [("facts", "acc_norm"), ("answers", "exact_match")])
def test_the_mean_of_the_index_is_the_score(index_of, scores, task, metric):
    index = index_of(EARLY, task, metric)
    score = score_of(scores, EARLY, task, metric)
    assert index["value"].mean() == pytest.approx(score["value"], abs=1e-12)
    assert int(index["right"].sum()) == round(score["value"] * score["n"])


def test_a_sample_has_the_metric_of_itself_alone(store, index_of):
    index = index_of(EARLY, "stories", "word_perplexity")
    statistics = store.samples(EARLY, "stories", ["statistics"])["statistics"]
    nats, words = np.array([row["word_perplexity"] for row in statistics]).T
    np.testing.assert_allclose(index["value"], np.exp(-nats / words))
    assert index["right"].isna().all()


def test_bleu_of_one_sentence(store, index_of):
    import sacrebleu

    index = index_of(LATE, "translation", "bleu")
    rows = store.samples(LATE, "translation")
    for value, answer, target in zip(index["value"], rows["answer"], rows["target"], strict=True):
        expected = sacrebleu.corpus_bleu([answer], [[target]], smooth_method="exp").score
        assert value == pytest.approx(expected, abs=1e-9)


def test_flips_are_counted_both_ways(store, index_of):
    pairs = paired_index(
        index_of(EARLY, "answers", "exact_match"), index_of(LATE, "answers", "exact_match")
    )
    early = store.samples(EARLY, "answers")["statistics"].map(lambda row: row["exact_match"][0])
    late = store.samples(LATE, "answers")["statistics"].map(lambda row: row["exact_match"][0])
    assert (pairs["flip"] == "won").sum() == ((early == 0) & (late == 1)).sum() > 0
    assert (pairs["flip"] == "lost").sum() == ((early == 1) & (late == 0)).sum() > 0
    np.testing.assert_array_equal(pairs["change"], late - early)
    assert pairs["same_prompt"].all()
    assert len(select_samples(pairs, "flipped")) == (early != late).sum()
    assert set(select_samples(pairs, "won")["right"]) == {False}


def test_documents_are_matched_by_hash_and_repeats_in_order():
    a = pd.DataFrame(
        {
            "doc_id": [0, 1, 2],
            "doc_hash": ["x", "x", "y"],
            "prompt_hash": ["p", "p", "q"],
            "category": None,
            "value": [1.0, 0.0, 1.0],
            "right": pd.array([True, False, True], dtype="boolean"),
        }
    )
    b = a.iloc[[1, 0]].assign(doc_id=[7, 8], prompt_hash=["p", "other"]).reset_index(drop=True)
    pairs = paired_index(a, b)
    assert pairs["other_doc_id"].tolist()[:2] == [7, 8]
    assert pd.isna(pairs["other_doc_id"][2])
    assert pairs["same_prompt"].tolist() == [True, False, False]
    assert pairs["flip"].tolist() == ["lost", "won", ""]


def test_filters_and_orders(index_of):
    index = index_of(EARLY, "facts", "acc_norm")
    right, wrong = select_samples(index, "right"), select_samples(index, "wrong")
    assert len(right) + len(wrong) == len(index)
    assert right["right"].all()
    category = index["category"][0]
    assert set(select_samples(index, category=category)["category"]) == {category}
    stories = index_of(EARLY, "stories", "word_perplexity")
    worst = select_samples(stories, order="worst first", higher_is_better=False)["value"]
    assert worst.is_monotonic_decreasing
    best = select_samples(stories, order="best first", higher_is_better=False)["value"]
    assert best.is_monotonic_increasing
    assert select_samples(stories, "right").empty


def test_the_largest_change_comes_first(index_of):
    pairs = paired_index(
        index_of(EARLY, "stories", "word_perplexity"), index_of(LATE, "stories", "word_perplexity")
    )
    change = select_samples(pairs, order="largest change")["change"].abs()
    assert change.is_monotonic_decreasing


@pytest.mark.parametrize(
    ("task", "text", "found"),
    [
        ("facts", "BAKER 17 ", True),
        ("answers", " corvo.", True),
        ("facts", "elsted", True),
        ("facts", "b.ker", False),
        ("facts", "% (", False),
    ],
)
def test_search_is_literal_and_ignores_case(store, task, text, found):
    rows = store.samples(EARLY, task)
    columns = ["prompt", "target", "answer", "choices", "responses"]
    expected = {
        int(row["doc_id"])
        for _, row in rows.iterrows()
        if text.lower() in "\n".join(str(row[name]) for name in columns).lower()
    }
    assert search_samples(store, EARLY, task, text) == expected
    assert bool(expected) == found


def test_rows_come_in_the_order_asked_for(store):
    rows = sample_rows(store, EARLY, "facts", "none", [9, 2, 30])
    assert rows["doc_id"].tolist() == [9, 2, 30]
    stored = store.samples(EARLY, "facts").set_index("doc_id")
    assert rows["prompt"].tolist() == stored.loc[[9, 2, 30], "prompt"].tolist()
    assert rows["statistics"][0]["acc"][0] == stored.loc[9, "statistics"]["acc"][0]
    assert sample_rows(store, EARLY, "facts", "other", [9]).empty


def test_one_sample_is_read_as_a_mapping(store):
    sample = first_sample(store, EARLY, "facts")
    assert sample["doc_id"] == 0
    assert len(sample["choices"]) == 4
    assert set(sample["statistics"]) == {"acc", "acc_norm"}


@pytest.mark.parametrize("content", [None, b"", b"PAR1 cut short"])
def test_missing_and_damaged_samples_are_a_data_error(tmp_path, content):
    store = make_store(tmp_path, tasks=["facts"], n=5)
    score = overview(store).scores.iloc[0]
    path = tmp_path / EARLY / "samples" / "facts.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for ask in (
        lambda: sample_index(store, EARLY, "facts", score),
        lambda: search_samples(store, EARLY, "facts", "x"),
        lambda: sample_rows(store, EARLY, "facts", "none", [0]),
        lambda: first_sample(store, EARLY, "facts"),
    ):
        with pytest.raises(DataError, match=r"facts\.parquet cannot be read"):
            ask()
