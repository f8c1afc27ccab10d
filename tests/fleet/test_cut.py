"""Requests are cut along prefix trees, each once, in sizes that follow what was measured."""

import random
from itertools import pairwise

import pytest

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.fleet.cut import Cutter, Work, lay_out
from evalkit.engine.fleet.pace import FIRST_TOKENS, Limits, Pace, load_limit_s
from evalkit.engine.loading import load_tokenizer
from evalkit.engine.tokenization import Encoder
from evalkit.types import Decoding, Request, RequestKind


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return Encoder(load_tokenizer(open_checkpoint(checkpoint)), 0, 64)


def ask(context, continuation=" bread", kind=RequestKind.LOGLIKELIHOOD, **more):
    return Request(kind, context, continuation, **more)


def pieces(cutter: Cutter, tokens: float):
    found = []
    while not cutter.is_empty:
        found.append(cutter.take(tokens))
    return found


def test_every_request_is_handed_out_once_whatever_the_sizes(encoder):
    draw = random.Random(1)
    requests = [
        ask("The baker " * draw.randint(0, 9) + f"{draw.randint(0, 40)}", draw.choice([" a", " b"]))
        for _ in range(300)
    ]
    missing = sorted(draw.sample(range(300), 250))
    cutter = lay_out(requests, missing, encoder)[Work.SCORED]
    found = []
    while not cutter.is_empty:
        found += cutter.take(draw.choice([1, 50, 400])).indices
    assert sorted(found) == missing


def test_a_small_tree_is_never_cut(encoder):
    """Sixty questions of four answers each: the answers to one question stay together."""
    requests = [
        ask(f"{i * 7919 % 1000} is what the farmer and the teacher saw. The", f" {word}")
        for i in range(60)
        for word in ("book", "town", "river", "market")
    ]
    cutter = lay_out(requests, range(240), encoder)[Work.SCORED]
    tree = cutter.total / 60
    for piece in pieces(cutter, 5 * tree):
        questions = [i // 4 for i in piece.indices]
        assert all(questions.count(question) == 4 for question in questions)


def test_sizes_are_near_what_was_asked_for_and_count_what_is_computed_twice(encoder):
    preamble = "Question: What is the capital? Answer: It is by the river. " * 2
    requests = [ask(f"{preamble}{i}", " town") for i in range(200)]
    whole = lay_out(requests, range(200), encoder)[Work.SCORED]
    shared = len(encoder.encode([preamble])[preamble]) - 1
    total = whole.total
    found = pieces(whole, total / 10)
    assert 6 <= len(found) <= 20
    again = sum(piece.tokens for piece in found) - total
    assert again >= (len(found) - 1) * (shared - 2)


def test_equal_requests_stay_together(encoder):
    requests = [ask("same", " thing")] * 50 + [
        Request(RequestKind.GENERATE, "same", decoding=Decoding(max_new_tokens=4))
    ] * 50
    laid = lay_out(requests, range(100), encoder)
    assert [len(piece.indices) for piece in pieces(laid[Work.SCORED], 1)] == [50]
    assert [len(piece.indices) for piece in pieces(laid[Work.TEXT], 1)] == [50]


def test_all_timed_requests_are_one_piece(encoder):
    timed = [
        Request(RequestKind.TIMED, f"{i} bakers", decoding=Decoding(max_new_tokens=4))
        for i in range(30)
    ]
    (piece,) = pieces(lay_out(timed, range(30), encoder)[Work.TIMED], 1)
    assert piece.indices == list(range(30))


def test_the_next_chunk_follows_the_measured_cost():
    pace = Pace(Limits(chunk_s=5.0), parameters=10**6)
    assert pace.next_size(1e9, 4) == FIRST_TOKENS
    sizes = []
    for _ in range(8):
        size = pace.next_size(1e9, 4)
        pace.saw(size, size * 1e-4)
        sizes.append(size)
    assert sizes[-1] == pytest.approx(5.0 / 1e-4)
    assert all(later <= 8 * earlier for earlier, later in pairwise(sizes))


def test_chunks_shrink_towards_the_end_but_not_to_crumbs():
    pace = Pace(Limits(chunk_s=5.0), parameters=10**6)
    for _ in range(20):
        pace.saw(50_000, 5.0)
    assert pace.next_size(80_000, 4) == pytest.approx(10_000)
    assert pace.next_size(800, 4) == pytest.approx(50_000 / 8)


def test_the_time_limit_follows_the_measured_cost():
    pace = Pace(Limits(patience_s=60.0, slack=10.0), parameters=10**9)
    assert pace.limit_s(2048) > 60
    pace.saw(1000, 10.0)
    assert pace.limit_s(1000) == pytest.approx(100.0)
    assert pace.limit_s(10) == 60.0


def test_a_worker_that_compiles_may_take_longer_to_load():
    assert load_limit_s(10**9) > load_limit_s(10**6)
    assert load_limit_s(10**6, compiled=True) > load_limit_s(10**6) + 600
