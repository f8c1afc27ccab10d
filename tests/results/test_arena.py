"""Votes survive; pairs are blind and shared; ranking and agreement are those of the votes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from evalkit.errors import DataError
from evalkit.results import (
    VOTES,
    Store,
    Vote,
    add_vote,
    agreement,
    left_side,
    overview,
    pair_documents,
    ranking,
    read_votes,
    vote_files,
)
from evalkit.stats.bradley_terry import bradley_terry
from evalkit.stats.krippendorff import krippendorff_alpha
from tests.stores import make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"
START = datetime(2026, 5, 1, tzinfo=UTC)


def vote(doc="d0", rater="ann", verdict="b", **more):
    return Vote(rater, "answers", doc, EARLY, LATE, "a", verdict, **more)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    tasks = ["facts", "answers"]
    return make_store(tmp_path_factory.mktemp("s"), runs=("early", "late"), tasks=tasks, n=30)


@pytest.mark.parametrize("url", ["memory://arena", "{tmp}/local"])
def test_votes_survive_in_parquet(url, tmp_path):
    store = Store(url.format(tmp=tmp_path))
    assert read_votes(store).rows.empty
    marked = vote(fluency_a=3, correctness_b=5, created=START)
    add_vote(store, "one", marked)
    add_vote(store, "one", vote("d1", verdict="tie"))
    add_vote(store, "two", vote(rater="bob", verdict="both bad"))
    found = read_votes(store)
    assert found.problems == []
    assert len(found.rows) == 3
    first = found.rows.iloc[0]
    assert first["created"] == START
    assert (first["fluency_a"], first["correctness_b"]) == (3, 5)
    assert np.isnan(first["relevance_a"])
    assert len(vote_files(store)) == 2
    path = sorted(vote_files(store))[0]
    with store.filesystem.open(path) as file:
        assert pq.read_schema(file).equals(VOTES)


def test_of_two_votes_on_a_pair_the_later_counts(tmp_path):
    store = Store(tmp_path)
    add_vote(store, "one", vote(verdict="a", created=START))
    add_vote(store, "two", vote(verdict="b", created=START + timedelta(seconds=1)))
    add_vote(store, "three", vote(verdict="tie", created=START - timedelta(seconds=1)))
    assert list(read_votes(store).rows["verdict"]) == ["b"]


def test_votes_are_no_runs(tmp_path):
    store = make_store(tmp_path, tasks=["answers"], n=5)
    add_vote(store, "one", vote())
    assert set(overview(store).manifests) == {EARLY, LATE}


def test_damaged_votes_are_told_and_never_overwritten(tmp_path):
    store = Store(tmp_path)
    add_vote(store, "good", vote())
    damaged = tmp_path / ".votes" / "bad.parquet"
    damaged.write_bytes(b"PAR1")
    (tmp_path / ".votes" / "x.parquet.1234.tmp").write_bytes(b"half")
    found = read_votes(store)
    assert len(found.rows) == 1
    assert len(found.problems) == 1
    assert str(damaged) in found.problems[0]
    with pytest.raises(DataError):
        add_vote(store, "bad", vote())
    assert damaged.read_bytes() == b"PAR1"


def test_a_verdict_that_is_none_is_left_out(tmp_path):
    store = Store(tmp_path)
    add_vote(store, "one", replace(vote(), verdict="<script>"))
    assert read_votes(store).rows.empty


def test_names_of_sittings_are_no_paths(tmp_path):
    store = Store(tmp_path / "store")
    add_vote(store, "../../escape", vote())
    assert not list(tmp_path.glob("*.parquet"))
    assert len(vote_files(store)) == 1


def test_pairs_are_the_documents_that_both_answered_with_texts(store):
    pairs = pair_documents(store, LATE, EARLY, "answers")
    assert pairs.equals(pair_documents(store, EARLY, LATE, "answers"))
    assert len(pairs) == 30
    assert not pairs["doc_a"].is_monotonic_increasing
    hashes = store.samples(EARLY, "answers").set_index("doc_id")["doc_hash"]
    assert [hashes[doc] for doc in pairs["doc_a"]] == list(pairs["doc_hash"])
    assert pair_documents(store, EARLY, LATE, "facts").empty


def test_the_left_side_is_random_and_stays(store):
    hashes = [str(number) for number in range(2000)]
    sides = [left_side("ann", hash_, "answers") for hash_ in hashes]
    assert sides == [left_side("ann", hash_, "answers") for hash_ in hashes]
    assert 900 < sides.count("a") < 1100
    others = [left_side("bob", hash_, "answers") for hash_ in hashes]
    assert 900 < sum(a == b for a, b in zip(sides, others, strict=True)) < 1100


def votes_of(tmp_path, verdicts):
    """Store votes: (rater, document, verdict) each."""
    store = Store(tmp_path)
    for number, (rater, doc, verdict) in enumerate(verdicts):
        add_vote(store, rater, vote(doc, rater, verdict, created=START + timedelta(0, number)))
    return read_votes(store).rows


def test_the_ranking_is_that_of_the_votes(tmp_path):
    verdicts = ["b"] * 6 + ["a"] * 2 + ["tie"] + ["both bad"]
    rows = votes_of(tmp_path, [("ann", f"d{i}", v) for i, v in enumerate(verdicts)])
    found = ranking(rows).set_index("run_id")
    assert list(found.index) == [LATE, EARLY]
    assert list(found.loc[LATE, ["votes", "wins", "losses", "ties", "bad"]]) == [10, 6, 2, 1, 1]
    assert list(found.loc[EARLY, ["wins", "losses", "ties", "bad"]]) == [2, 6, 1, 1]
    share = [{"a": 1.0, "b": 0.0}.get(verdict, 0.5) for verdict in verdicts]
    expected = bradley_terry([(EARLY, LATE, s) for s in share])
    assert found.loc[LATE, "ability"] == pytest.approx(expected[LATE].ability)
    assert found.loc[LATE, "ability"] - found.loc[EARLY, "ability"] == pytest.approx(np.log(7 / 3))
    assert found.loc[LATE, "ci_low"] == pytest.approx(expected[LATE].ci_low)


def test_votes_on_one_document_are_dependent(tmp_path):
    verdicts = [(f"r{j}", f"d{i}", "b" if i < 6 else "a") for i in range(10) for j in range(4)]
    wide = ranking(votes_of(tmp_path, verdicts)).iloc[0]
    games = [(EARLY, LATE, float(verdict == "a")) for *_, verdict in verdicts]
    narrow = bradley_terry(games)[LATE]
    assert wide["ci_high"] - wide["ability"] > 1.8 * (narrow.ci_high - narrow.ability)


def test_no_votes_no_ranking(tmp_path):
    rows = read_votes(Store(tmp_path)).rows
    assert ranking(rows).empty
    assert agreement(rows)["verdict"].alpha is None


def test_agreement_is_over_documents_judged_more_than_once(tmp_path):
    verdicts = [("ann", "d0", "a"), ("bob", "d0", "a"), ("ann", "d1", "b"), ("bob", "d1", "tie"),
                ("ann", "d2", "b"), ("bob", "d2", "b"), ("ann", "d3", "b")]  # fmt: skip
    found = agreement(votes_of(tmp_path, verdicts))
    expected = krippendorff_alpha([["a", "a"], ["b", "tie"], ["b", "b"], ["b"]])
    assert found["verdict"] == expected
    assert found["fluency"].alpha is None


def test_marks_belong_to_their_run(tmp_path):
    store = Store(tmp_path)
    add_vote(store, "one", vote("d0", fluency_a=1, fluency_b=5))
    add_vote(store, "one", vote("d1", verdict="a", fluency_a=2))
    add_vote(store, "two", vote("d0", "bob", fluency_a=1, fluency_b=5))
    found = ranking(read_votes(store).rows).set_index("run_id")
    assert found.loc[EARLY, "fluency"] == pytest.approx(4 / 3)
    assert found.loc[LATE, "fluency"] == 5
    assert agreement(read_votes(store).rows)["fluency"].alpha == 1
