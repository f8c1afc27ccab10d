"""What is answered already is left out, and moves no other answer by a single bit."""

import random

import pytest

from evalkit.engine import budget, self_check
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.types import Decoding, Request, RequestKind

WORDS = ["The", "baker", "said", "that", "she", "had", "bread", "to", "sell", "by", "the", "river"]


def requests():
    draw = random.Random(5)
    preamble = "one two three four five six seven eight nine ten. "
    contexts = [preamble + " ".join(draw.choices(WORDS, k=draw.randint(3, 12))) for _ in range(40)]
    scored = [
        Request(RequestKind.LOGLIKELIHOOD, context, f" {word}")
        for context in contexts
        for word in ("bread", "river")
    ]
    rolling = [
        Request(RequestKind.ROLLING, "", " ".join(draw.choices(WORDS, k=90))) for _ in range(5)
    ]
    decoding = Decoding(until=(".",), max_new_tokens=6)
    texts = [Request(RequestKind.GENERATE, context, decoding=decoding) for context in contexts[:12]]
    return scored + rolling + texts


def answers(engine, asked, answered=()):
    found = {}
    for batch in engine.respond(asked, answered):
        for index, response in batch:
            assert index not in found, "answered twice"
            found[index] = response
    return found


@pytest.mark.parametrize("planned", [True, False], ids=["forest", "plain"])
def test_the_rest_is_answered_exactly_as_if_all_were_asked(checkpoint, monkeypatch, planned):
    monkeypatch.setattr(budget, "TOKENS", 48)
    if not planned:
        monkeypatch.setattr(self_check, "use_plans", lambda model: False)
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu", batch_size=4)
    assert engine.is_forest == planned
    asked = requests()
    whole = answers(engine, asked)
    assert len(whole) == len(asked)
    draw = random.Random(7)
    for share in (0.1, 0.5, 0.95, 1.0):
        known = {i for i in whole if draw.random() < share}
        rest = answers(engine, asked, known)
        assert rest == {i: response for i, response in whole.items() if i not in known}
