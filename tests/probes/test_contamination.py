"""Contamination: the exact text against texts that are as likely to have been written."""

from itertools import islice

import pytest

from evalkit.errors import UsageError
from evalkit.probes import MicroContamination
from evalkit.probes.option_order import OptionOrder
from evalkit.probes.options_list import find_options
from evalkit.training.world import Knobs, World, corpus, held_out
from tests.probes.answers import likely
from tests.probes.tasks import FakeTask, choice_document


def test_preference_is_the_share_of_variants_below_the_exact_text():
    probe = MicroContamination()
    documents = probe.documents(2, seed=0)
    first, second = probe.score(documents, [likely(-8, -9, -10, -6, -8), likely(*[-5.0] * 5)])
    assert first.statistics["exact_preference"] == (0.625,)
    assert first.statistics["exact_gap"] == ((-8 + 33 / 4) / 4,)
    assert second.statistics["exact_preference"] == (0.5,)


def test_variants_are_never_in_the_corpus_and_exact_texts_only_by_a_leak():
    rows = [document.content for document in MicroContamination().documents(None, seed=0)]
    exact = {row["text"] for row in rows}
    assert exact <= {q.solved for questions in held_out(World()).values() for q in questions}
    variants = {text for row in rows for text in row["variants"]}
    assert len(variants) == 4 * len(rows)
    assert not exact & variants
    clean = {p.text for p in islice(corpus(World(), Knobs()), 20_000)}
    leaky = {p.text for p in islice(corpus(World(), Knobs(leaked_tests=1.0)), 20_000)}
    assert not exact & clean
    assert exact <= leaky


def test_a_variant_differs_in_names_and_numbers_alone():
    def shape(text):
        return [len(sentence.split()) for sentence in text.split(".")]

    journeys = [
        d.content for d in MicroContamination().documents(None, 0) if d.category == "journey"
    ]
    assert all(shape(row["text"]) == shape(v) for row in journeys for v in row["variants"])


PROMPT = "Example?\nA. x\nB. y\nAnswer: A\n\nWhich is red?\nA. sky\nB. grass\nC. blood\nAnswer:"


def test_the_last_list_of_options_is_found():
    found = find_options(PROMPT)
    assert found.texts == ("sky", "grass", "blood")
    assert found.prompt([0, 1, 2]) == PROMPT
    assert "A. blood\nB. grass\nC. sky\nAnswer:" in found.prompt([2, 1, 0])
    assert find_options("No list here.\nA. alone") is None


def test_option_order_asks_the_published_order_first():
    document = choice_document("task", 0, PROMPT, [" A", " B", " C"], 2)
    probe = OptionOrder(FakeTask("task", [document]))
    (asked,) = probe.documents(None, seed=0)
    assert len({request.continuation for request in asked.requests}) == 5
    assert asked.requests[0].context + asked.requests[0].continuation in PROMPT
    (sample,) = probe.score([asked], [likely(-1, -2, -3, -4, -5)])
    assert sample.statistics["exact_preference"] == (1.0,)
    plain = FakeTask("task", [choice_document("task", 0, "Which is red?", [" sky", " blood"], 1)])
    with pytest.raises(UsageError, match="under letters"):
        OptionOrder(plain).documents(None, seed=0)
