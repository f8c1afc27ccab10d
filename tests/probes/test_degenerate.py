"""Degeneration: how a text repeats itself."""

import pytest

from evalkit.probes.degenerate import Degenerate
from evalkit.probes.repetition import distinct, ends_in_loop, seq_rep, words
from tests.probes.answers import written
from tests.probes.tasks import FakeTask, text_document


def test_repetition_of_known_texts():
    tokens = words("the cat sat, the cat sat")
    assert tokens == ["the", "cat", "sat", ",", "the", "cat", "sat"]
    # Four 4-grams, all distinct; of seven tokens four distinct ones; of six 2-grams four.
    assert seq_rep(tokens, 4) == 0
    assert distinct(tokens, 1) == 4 / 7
    assert distinct(tokens, 2) == 4 / 7
    looping = words("a b c d " * 3)
    # Nine 4-grams, of which four are distinct.
    assert seq_rep(looping, 4) == pytest.approx(5 / 9)
    assert seq_rep(["a", "b"], 4) is None


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("go on and on and on and on", True),
        ("no no no", True),
        ("yes yes no", False),
        ("one two three one two three", False),
        ("start here, a b a b a b", True),
        ("", False),
    ],
)
def test_a_loop_is_the_same_end_three_times(text, loops):
    assert ends_in_loop(words(text)) is loops


def test_figures_of_a_task_and_none_for_what_is_too_short():
    documents = [text_document("toy", 0, "Say"), text_document("toy", 1, "Say more")]
    probe = Degenerate(FakeTask("toy", documents))
    asked = probe.documents(None, seed=0)
    assert [d.prompt_hash for d in asked] == [d.prompt_hash for d in documents]
    long, short = probe.score(asked, [written("no " * 8), written("")])
    assert long.statistics["seq_rep_4"] == (0.8,)
    assert long.statistics["loop_rate"] == (1.0,)
    assert short.statistics == {"loop_rate": (0.0,), "length": (0.0,)}
