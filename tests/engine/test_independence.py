"""Nothing about a sample depends on its neighbours: order, batch size, sharding or limit."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.engine.budget import Budget
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.types import Decoding, Request, RequestKind

WORDS = ["The", "baker", "farmer", "said", "that", "she", "had", "bread", "by", "the", "river", "."]


def pool():
    """Requests of every kind, many with common beginnings, some longer than the context of 64."""
    contexts = [" ".join(WORDS[:n]) for n in (1, 2, 3, 5, 8, 12)]
    contexts += [" ".join(WORDS * 4) + " " + context for context in contexts[:3]]
    scored = [
        Request(RequestKind.LOGLIKELIHOOD, context, f" {end}")
        for context in contexts
        for end in ("she", "she had", "bread by the river")
    ]
    rolling = [Request(RequestKind.ROLLING, "", " ".join(WORDS * n)) for n in (1, 3, 6)]
    texts = [
        Request(
            RequestKind.GENERATE,
            context,
            decoding=Decoding(("river",), 5 + i, temperature=i % 2, seed=i),
        )
        for i, context in enumerate(contexts[:6])
    ]
    return [*scored, *rolling, *texts]


POOL = pool()


@pytest.fixture(scope="module")
def engines(checkpoint):
    return {size: LocalEngine(open_checkpoint(checkpoint), device="cpu", batch_size=size)
            for size in (None, 1, 3)}  # fmt: skip


@pytest.fixture(scope="module")
def alone(engines):
    """Each request's answer with no neighbour at all."""
    return [next(iter(ask(engines[None], [request]))) for request in POOL]


def ask(engine, requests):
    found = dict(pair for batch in engine.respond(requests) for pair in batch)
    return [found[i] for i in range(len(requests))]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chosen=st.lists(st.sampled_from(range(len(POOL))), min_size=1, max_size=20),
    size=st.sampled_from([None, 1, 3]),
    budget=st.sampled_from([1024, 40, 7]),
)
def test_no_answer_depends_on_its_neighbours(engines, alone, chosen, size, budget):
    """A draw is an order, a limit and a shard at once: some requests, in some order, with twins."""
    engine = engines[size]
    usual = engine._scorer.budget
    engine._scorer.budget = Budget(budget, budget, spans=size)
    try:
        answers = ask(engine, [POOL[i] for i in chosen])
    finally:
        engine._scorer.budget = usual
    for index, answer in zip(chosen, answers, strict=True):
        assert answer.text == alone[index].text
        assert answer.is_greedy == alone[index].is_greedy
        assert answer.loglikelihood == pytest.approx(alone[index].loglikelihood, abs=1e-4)
        assert answer.output_tokens == alone[index].output_tokens
