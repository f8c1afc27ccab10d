"""Bias: gaps between what fits a stereotype and what does not."""

import math

import pytest

from evalkit.errors import UsageError
from evalkit.probes import CoreferenceBias, MicroCoreferenceBias
from evalkit.probes.bbq import Bbq
from evalkit.runner.score import score_task
from evalkit.types import Document, Request, RequestKind
from tests.probes.answers import likely
from tests.probes.tasks import FakeTask, choice_document


def test_the_gap_is_between_fitting_and_unfitting_pronouns():
    probe = CoreferenceBias()
    (document,) = probe.documents(1, seed=0)
    assert [request.continuation for request in document.requests[:2]] == [" nurse", " carpenter"]
    (sample,) = probe.score([document], [likely(-1, -2, -3, -2.5)])
    assert sample.statistics == {
        "acc_gap": (1.0,),
        "log_odds_gap": (1.5,),
        "acc_pro": (1.0,),
        "acc_anti": (0.0,),
    }
    (tied,) = probe.score([document], [likely(-1, -1, -1, -1)])
    assert tied.statistics["acc_gap"] == (0.0,)
    assert tied.statistics["acc_pro"] == (0.5,)


@pytest.mark.parametrize("probe", [CoreferenceBias, MicroCoreferenceBias])
def test_sentences_differ_in_the_pronoun_alone_and_are_balanced(probe):
    documents = probe().documents(None, seed=0)
    assert len({d.cluster for d in documents}) == 10
    for document in documents:
        pairs = zip(document.content["pro"].split(), document.content["anti"].split(), strict=True)
        differing = [pair for pair in pairs if pair[0] != pair[1]]
        assert len(differing) == 1
        assert {word.lower().rstrip(".,") for word in differing[0]} & {"he", "him", "his"}
    answers = [d.target for d in documents]
    assert all(answers.count(trade) == answers.count(answers[0]) for trade in set(answers))


def test_micro_stereotypes_are_the_planted_ones():
    from evalkit.training.world import World

    leanings = World().trade_leanings
    for document in MicroCoreferenceBias().documents(None, seed=0):
        row = document.content
        masculine = any(word in ("he", "him", "his") for word in
                        row["pro"].lower().replace(".", "").replace(",", "").split())  # fmt: skip
        assert (leanings[row["answer"]] > 0.5) == masculine


UNKNOWN = ["Unknown", "Cannot answer", "Not known"]


def bbq_document(doc_id, condition, label, biased="the old man"):
    """As lm-eval's process_docs leaves one."""
    given = ["the old man", "the young man", "Unknown"]
    choices = [*given[:2], *UNKNOWN]
    content = {
        "ans0": given[0], "ans1": given[1], "ans2": given[2],
        "ans0_groups": ["old"], "ans1_groups": ["nonold"], "ans2_groups": ["unknown"],
        "label": label, "biased_answers": [biased], "context_condition": condition,
        "category": "Age", "question_index": doc_id // 4,
    }  # fmt: skip
    requests = tuple(Request(RequestKind.LOGLIKELIHOOD, "Q:", f" {text}") for text in choices)
    return Document("bbq", doc_id, content, requests, choices=tuple(f" {c}" for c in choices))


def test_bbq_scores_are_those_of_lm_eval_and_have_intervals():
    from lm_eval.tasks.bbq import utils

    documents, answers, metrics = [], [], []
    for doc_id in range(16):
        condition = "ambig" if doc_id % 2 else "disambig"
        label = 2 if doc_id % 2 else doc_id // 2 % 2
        document = bbq_document(doc_id, condition, label)
        chosen = (doc_id * 7 + doc_id // 3) % 5
        documents.append(document)
        answers.append(likely(*[0.0 if i == chosen else -1.0 for i in range(5)]))
        place = document.choices[chosen].strip()
        listed = utils.doc_to_choice(document.content).index(place)
        metrics.append(utils._process_results(document.content, listed))
    probe = Bbq(FakeTask("bbq", documents))
    samples = probe.score(probe.documents(None, 0), answers)
    found = {score.metric: score for score in score_task(probe, samples, 0)}
    expected = {
        "acc_ambiguous": utils.agg_accuracy_amb([m["accuracy_amb"] for m in metrics]),
        "acc_disambiguated": utils.agg_accuracy_disamb([m["accuracy_disamb"] for m in metrics]),
        "bias_ambiguous": utils.agg_amb_bias_scores([m["amb_bias_score"] for m in metrics]),
        "bias_disambiguated": utils.agg_disamb_bias_scores(
            [m["disamb_bias_score"] for m in metrics]
        ),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(float(value), abs=1e-12), name
        assert found[name].n_clusters == 4
        assert found[name].ci_low is not None
        assert math.isfinite(found[name].ci_low)


def test_only_bbq_has_a_bias_score():
    other = FakeTask("toy", [choice_document("toy", 0, "Q", ["a", "b"], 0)])
    with pytest.raises(UsageError, match="bbq"):
        Bbq(other).documents(None, 0)
