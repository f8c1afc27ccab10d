"""Judged quality: a judge's labels, both orders, and what people's labels make of them."""

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from evalkit.errors import DataError
from evalkit.probes.judged import Pairwise, Rubric, read_labels
from evalkit.probes.judged.labels import Labels, kappa
from evalkit.probes.judged.texts import JudgedText
from evalkit.runner.score import score_task
from tests.probes.answers import likely


def text(doc_id, answer):
    return JudgedText(doc_id, (f"d{doc_id}", "p"), "Who?", answer, "Anna", None, None)


def rated(*ratings, labels=None):
    probe = Rubric("toy", [text(i, f"answer {i}") for i in range(len(ratings))], labels)
    documents = probe.documents(None, 0)
    answers = [likely(*[0.0 if r == k else -3.0 for k in range(1, 6)]) for r in ratings]
    return probe, probe.score(documents, answers)


def test_a_rating_is_the_likeliest_of_five():
    probe, samples = rated(4, 1)
    assert [sample.statistics["rating"] for sample in samples] == [(4.0,), (1.0,)]
    even = probe.score(probe.documents(1, 0), [likely(*[-2.0] * 5)])
    assert even[0].statistics["rating_expected"] == (3.0,)
    assert "answer 0" in samples[0].document.requests[0].context
    assert [r.continuation for r in samples[0].document.requests] == [" 1", " 2", " 3", " 4", " 5"]


def compared(straight, swapped):
    """Verdict where the label of each order is the likeliest."""
    probe = Pairwise("toy", [text(0, "mine")], [text(0, "theirs"), text(1, "other")])
    (document,) = probe.documents(None, 0)
    values = [0.0 if label == said else -3.0 for said in (straight, swapped) for label in "ABC"]
    (sample,) = probe.score([document], [likely(*values)])
    return sample


@pytest.mark.parametrize(
    ("straight", "swapped", "verdict", "win", "agree", "first"),
    [
        ("A", "B", "win", 1.0, 1.0, 0.5),
        ("B", "A", "loss", 0.0, 1.0, 0.5),
        ("A", "A", "tie", 0.5, 0.0, 1.0),
        ("C", "C", "tie", 0.5, 1.0, 0.0),
        ("A", "C", "tie", 0.5, 0.0, 0.5),
    ],
)
def test_orders_that_disagree_are_a_tie(straight, swapped, verdict, win, agree, first):
    sample = compared(straight, swapped)
    assert sample.answer == verdict
    assert sample.statistics["win_rate"] == (win,)
    assert sample.statistics["order_agreement"] == (agree,)
    assert sample.statistics["first_rate"] == (first,)


def test_both_orders_are_asked():
    requests = compared("A", "B").document.requests
    straight, swapped = requests[0].context, requests[3].context
    assert straight.index("mine") < straight.index("theirs")
    assert swapped.index("theirs") < swapped.index("mine")


def test_kappa_is_scikit_learns_and_none_without_any_difference():
    human, judge = [1, 2, 5, 4, 4, 2], [1, 3, 5, 4, 2, 2]
    expected = cohen_kappa_score(human, judge, weights="quadratic")
    assert kappa(human, judge, is_rating=True) == pytest.approx(expected)
    words = [0.0, 0.5, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]
    assert kappa(*words, is_rating=False) == pytest.approx(
        cohen_kappa_score([0, 1, 2, 2], [0, 2, 2, 2])
    )
    assert kappa([3, 3], [3, 3], is_rating=True) is None


def test_human_labels_correct_the_mean_and_widen_its_interval():
    random = np.random.default_rng(0)
    ratings = random.integers(1, 6, 200).tolist()
    said = {i: float(np.clip(r - random.integers(0, 2), 1, 5)) for i, r in enumerate(ratings[:40])}
    probe, samples = rated(*ratings, labels=Labels(said))
    found = {score.metric: score for score in score_task(probe, samples, 0)}
    plain, corrected = found["rating"], found["rating_corrected"]
    error = np.mean([said[i] - ratings[i] for i in said])
    assert corrected.value == pytest.approx(plain.value + error)
    assert corrected.ci_high - corrected.ci_low > plain.ci_high - plain.ci_low
    assert found["kappa"].n == 40
    assert found["kappa"].ci_low < found["kappa"].value < found["kappa"].ci_high
    bad = {i: float(random.integers(1, 6)) for i in said}
    probe, samples = rated(*ratings, labels=Labels(bad))
    worse = {score.metric: score for score in score_task(probe, samples, 0)}["rating_corrected"]
    assert worse.ci_high - worse.ci_low > corrected.ci_high - corrected.ci_low


def test_labels_are_read_and_wrong_ones_named(tmp_path):
    file = tmp_path / "labels.jsonl"
    rows = [{"task": "toy", "doc_id": 3, "label": 4}, {"task": "other", "doc_id": 1, "label": 2}]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert read_labels(file, "toy", pairwise=False).by_document == {3: 4.0}
    with pytest.raises(DataError, match="win, tie or loss"):
        read_labels(file, "toy", pairwise=True)
    with pytest.raises(DataError, match="no label of the task"):
        read_labels(file, "third", pairwise=False)


def test_labels_of_several_tasks_say_whose_they_are(tmp_path):
    file = tmp_path / "labels.jsonl"
    file.write_text('{"doc_id": 0, "label": 3}\n')
    assert read_labels(file, "toy", pairwise=False).by_document == {0: 3.0}
    with pytest.raises(DataError, match="row 1: it names no task, and texts of several"):
        read_labels(file, "toy", pairwise=False, is_only=False)


def test_shares_of_pairs_stay_between_0_and_1():
    said = [("A", "A"), ("A", "A"), ("A", "B"), ("A", "C"), ("A", "B"), ("A", "B")]
    texts = [text(i, "mine") for i in range(len(said))]
    probe = Pairwise("toy", texts, texts, Labels({0: 0.0, 1: 1.0, 2: 0.5}))
    answers = [
        likely(*[0.0 if label == way else -3.0 for way in ways for label in "ABC"]) for ways in said
    ]
    samples = probe.score(probe.documents(None, 0), answers)
    for score in score_task(probe, samples, 0):
        if score.metric != "kappa" and score.ci_low is not None:
            assert 0 <= score.ci_low <= score.value <= score.ci_high <= 1, score


def test_perfect_agreement_on_few_labels_widens_both_ways():
    said = [("A", "B"), ("B", "A")] * 6
    texts = [text(i, "mine") for i in range(len(said))]
    probe = Pairwise("toy", texts, texts, Labels({0: 1.0, 1: 0.0, 2: 1.0}))
    answers = [
        likely(*[0.0 if label == way else -3.0 for way in ways for label in "ABC"]) for ways in said
    ]
    samples = probe.score(probe.documents(None, 0), answers)
    found = {score.metric: score for score in score_task(probe, samples, 0)}
    plain, corrected = found["win_rate"], found["win_rate_corrected"]
    assert corrected.value == plain.value
    assert corrected.ci_low < plain.ci_low
    assert corrected.ci_high > plain.ci_high


def test_a_judge_reads_a_runs_texts(evalkit_command, checkpoint, task_folder, tmp_path):
    store = tmp_path / "store"
    for name in ("first", "second"):
        ran = evalkit_command(
            "run", "--model", checkpoint, "--tasks", "toy_answer,toy_choice",
            "--include-path", task_folder, "--store", store, "--name", name,
        )  # fmt: skip
        assert ran.code == 0, ran.err
    labels = tmp_path / "labels.jsonl"
    rows = [{"doc_id": i, "label": "tie"} for i in range(3)]
    labels.write_text("\n".join(map(json.dumps, rows)))
    rating = evalkit_command("judge", "first", "--judge", checkpoint, "--store", store, "--json")
    assert rating.code == 0, rating.err
    assert {s["task"] for s in json.loads(rating.out)["scores"]} == {"judged/toy_answer"}
    versus = evalkit_command(
        "judge", "first", "--judge", checkpoint, "--against", "second",
        "--labels", labels, "--store", store, "--json",
    )  # fmt: skip
    assert versus.code == 0, versus.err
    scores = {s["metric"]: s["value"] for s in json.loads(versus.out)["scores"]}
    # The same model wrote both, so whatever the judge prefers first it prefers swapped.
    assert scores["win_rate"] == 0.5
    assert "kappa" in scores
    from evalkit.results import Store

    kept = Store(store).resolve(json.loads(versus.out)["run_id"])
    judged, against = (next(r for r in Store(store).listing().runs if r.name == name)
                       for name in ("first", "second"))  # fmt: skip
    assert kept.model == judged.model
    assert (kept.tags["judged"], kept.tags["against"]) == (judged.run_id, against.run_id)
    assert len(Store(store).samples(kept.run_id, "preferred/toy_answer")) == 6
    missing = evalkit_command(
        "judge", "first", "--judge", checkpoint, "--task", "toy_choice", "--store", store
    )
    assert missing.code == 2
    assert "no generated texts of toy_choice" in missing.err
