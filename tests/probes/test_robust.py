"""Robustness: small changes to the question, and nothing else."""

import pytest

from evalkit.errors import UsageError
from evalkit.probes.perturb import PERTURBATIONS, paraphrase, perturbed, spacing, typos
from evalkit.probes.robust import Robust
from evalkit.runner.score import score_task
from tests.probes.answers import likely
from tests.probes.tasks import FakeTask, choice_document, text_document

LISTED = "Question: Which thing is red?\nA. the sky\nB. some grass\nC. fresh blood\nAnswer:"


def test_a_change_leaves_examples_and_length_of_the_words_alone():
    prompt = "Question: One?\nAnswer: yes\n\nQuestion: Which animals live underwater?\nAnswer:"
    for change in PERTURBATIONS.values():
        changed = perturbed(prompt, change)
        assert changed != prompt or change is typos
        assert changed.startswith("Question: One?\nAnswer: yes\n\n")
    assert paraphrase("Q: Who?\nA:") == "Question: Who?\nAnswer:"
    assert paraphrase("The dog") == "Here is the next one.\nThe dog"
    assert spacing("a b\n c") == "a  b\n c"


def test_typos_swap_inner_letters_of_some_longer_words():
    text = "Remarkable creatures wander through ancient forests every single evening. " * 5
    before, after = text.split(), typos(text).split()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert 1 <= len(changed) < len(before) / 2
    for a, b in changed:
        assert sorted(a) == sorted(b)
        assert (a[0], a[-1]) == (b[0], b[-1])
    assert typos(text) == typos(text)


def test_changes_are_compared_with_the_plain_answer_document_by_document():
    documents = [
        choice_document("toy", 0, "Question: Which is red?\nAnswer:", [" blood", " grass"], 0),
        choice_document("toy", 1, "Question: Which is green?\nAnswer:", [" blood", " grass"], 1),
    ]
    probe = Robust(FakeTask("toy", documents))
    assert probe.name == "robust/toy"
    asked = probe.documents(None, seed=0)
    answers = []
    for document in asked:
        ways = len(document.requests) // 2
        # Right as it is, and wrong under the first change.
        good = (-1.0, -2.0) if document.doc_id == 0 else (-2.0, -1.0)
        answers.append(likely(*good, *good[::-1], *good * (ways - 2)))
    first, _ = probe.score(asked, answers)
    changes = sum(name.endswith("_change") for name in first.statistics)
    assert first.statistics["plain_acc"] == (1.0,)
    assert first.statistics["change"] == (pytest.approx(-1 / changes),)
    assert first.statistics["consistency"] == (pytest.approx(1 - 1 / changes),)
    wrong = [n for n, v in first.statistics.items() if n.endswith("_change") and v == (-1.0,)]
    assert len(wrong) == 1
    assert first.statistics[wrong[0].replace("_change", "_acc")] == (0.0,)


def test_a_change_has_the_interval_of_a_paired_comparison():
    """Changes that are 0 or 1 on every document are no share: their interval reaches below 0."""
    documents = [
        choice_document("toy", i, f"Question: Which is {i}?\nAnswer:", [" a", " b"], 0)
        for i in range(12)
    ]
    probe = Robust(FakeTask("toy", documents))
    asked = probe.documents(None, seed=0)
    answers = []
    for document in asked:
        ways = len(document.requests) // 2
        plain = (-2.0, -1.0) if document.doc_id == 3 else (-1.0, -2.0)
        answers.append(likely(*plain, *(-1.0, -2.0) * (ways - 1)))
    samples = probe.score(asked, answers)
    found = {score.metric: score for score in score_task(probe, samples, 0)}
    changed = found["case_change"]
    assert changed.value == pytest.approx(1 / 12)
    assert changed.ci_low < 0 < changed.value < changed.ci_high


def test_an_answer_follows_its_option_to_another_letter():
    document = choice_document("toy", 0, LISTED, [" A", " B", " C"], 2)
    probe = Robust(FakeTask("toy", [document]))
    (asked,) = probe.documents(None, seed=0)
    moved = asked.requests[-3:]
    assert moved[0].context != LISTED
    letter = next(mark for mark in "ABC" if f"{mark}. fresh blood" in moved[0].context.split("\n"))
    plain = (-3.0, -3.0, -1.0)
    values = [-1.0 if r.continuation.strip() == letter else -3.0 for r in moved]
    middle = len(asked.requests) // 3 - 2
    (sample,) = probe.score([asked], [likely(*plain, *plain * middle, *values)])
    assert sample.statistics["order_consistency"] == (1.0,)
    assert sample.statistics["order_acc"] == (1.0,)
    stuck = [-1.0 if r.continuation == " C" else -3.0 for r in moved]
    (sample,) = probe.score([asked], [likely(*plain, *plain * middle, *stuck)])
    assert sample.statistics["order_consistency"] == (float(letter == "C"),)


def test_what_cannot_be_wrapped_is_refused():
    with pytest.raises(UsageError, match="multiple-choice"):
        Robust(FakeTask("toy", [text_document("toy", 0, "Say")])).documents(None, 0)
    empty = FakeTask("toy", [choice_document("toy", 0, "", ["a", "b"], 0)])
    with pytest.raises(UsageError, match="empty"):
        Robust(empty).documents(None, 0)


def test_it_runs_by_name(evalkit_command, checkpoint, task_folder, tmp_path):
    import json

    found = evalkit_command(
        "run", "--model", checkpoint, "--tasks", "robust/toy_choice,degenerate/toy_answer",
        "--include-path", task_folder, "--store", tmp_path, "--json",
    )  # fmt: skip
    assert found.code == 0, found.err
    scores = {(s["task"], s["metric"]): s for s in json.loads(found.out)["scores"]}
    assert scores["robust/toy_choice", "consistency"]["n"] == 6
    assert scores["degenerate/toy_answer", "length"]["value"] > 0
    refused = evalkit_command(
        "run", "--model", checkpoint, "--tasks", "robust/toy_answer",
        "--include-path", task_folder, "--store", tmp_path,
    )  # fmt: skip
    assert refused.code == 2
    assert "multiple-choice" in refused.err
