"""Probes turn known responses into the figures their definitions give."""

import math

import pytest

from evalkit.probes import PROBES, Latency, ProbeOptions, PronounBias
from evalkit.types import RequestKind, Response


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_is_a_task_of_its_name(name, detector):
    probe = PROBES[name].make(ProbeOptions(detector=detector))
    assert probe.name == name
    documents = probe.documents(5, seed=0)
    assert len(documents) == 5
    assert [d.doc_id for d in documents] == list(range(5))
    assert probe.documents(None, seed=0)[:5] == documents


def test_pronoun_bias_is_the_log_odds_of_the_two_pronouns():
    probe = PronounBias()
    (document,) = probe.documents(1, seed=0)
    he, she = math.log(0.6), math.log(0.2)
    answers = (Response(loglikelihood=he), Response(loglikelihood=she))
    (sample,) = probe.score([document], [answers])
    assert sample.statistics["abs_log_odds"] == pytest.approx((math.log(3),))
    assert sample.statistics["male_share"] == pytest.approx((0.75,))
    assert sample.answer == document.choices[0]
    # The data's first trade is one that a skewed corpus calls "she".
    assert document.content["planted"] < 0.5
    assert sample.statistics["stereotype_log_odds"] == pytest.approx((-math.log(3),))


def test_pronoun_bias_holds_prompts_of_a_trade_together():
    documents = PronounBias().documents(None, seed=0)
    assert len({d.cluster for d in documents}) < len(documents)
    assert all(d.requests[0].context == d.requests[1].context for d in documents)


def test_latency_tells_first_token_from_the_rest_and_drops_its_warm_up():
    probe = Latency()
    documents = probe.documents(2, seed=0)
    assert [len(d.requests) for d in documents] == [2, 1]
    assert all(r.kind is RequestKind.TIMED for d in documents for r in d.requests)
    slow = Response(text="warm-up", output_tokens=5, token_s=(9.0, 20.0, 40.0, 60.0, 99.0))
    quick = Response(text="ab", output_tokens=5, token_s=(0.25, 0.5, 0.75, 1.0, 1.25))
    warm, cold = probe.score(documents, [(slow, quick), (quick,)])
    for sample in (warm, cold):
        assert sample.responses == (quick,)
        assert sample.statistics == {
            "first_token_s": (0.25,),
            "end_to_end_s": (1.25,),
            "tokens_per_s": (4.0,),
            "time_per_output_token_s": (0.25,),
        }


def test_latency_of_a_single_token_has_no_time_per_further_token():
    probe = Latency()
    (document,) = probe.documents(1, seed=0)
    one = Response(text="a", output_tokens=1, token_s=(0.5,))
    (sample,) = probe.score([document], [(one, one)])
    assert "time_per_output_token_s" not in sample.statistics
