"""Log-likelihoods: packed equals plain equals the definition, for every architecture family."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from evalkit.engine import forward, self_check
from evalkit.engine.budget import Budget
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.forest import plan_passes
from evalkit.engine.local import LocalEngine
from evalkit.engine.tokenization import Span, windows
from evalkit.types import Request, RequestKind
from tests.checkpoints import make_checkpoint

FAMILIES = [
    "llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "gemma", "gemma3_text", "phi", "phi3", "mistral",
    "smollm3", "granite", "olmo2",
]  # fmt: skip
CONTEXTS = ["The baker said that", "The baker said", "A farmer went to town, and ", ""]
CONTINUATIONS = [" he", " she had bread", " to sell at the old market.", "one"]


def ask(engine, requests):
    found = dict(pair for batch in engine.respond(requests) for pair in batch)
    assert sorted(found) == list(range(len(requests)))
    return [found[i] for i in range(len(requests))]


def every_pair():
    return [
        Request(RequestKind.LOGLIKELIHOOD, context, continuation)
        for context in CONTEXTS
        for continuation in CONTINUATIONS
    ]


def by_definition(folder, request):
    """Summed log-probability of the continuation's tokens, one sequence at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    spaces = len(request.context) - len(request.context.rstrip())
    context = request.context[: len(request.context) - spaces]
    before = tokenizer(context)["input_ids"] if context else [tokenizer.bos_token_id]
    whole = tokenizer(request.context + request.continuation)["input_ids"]
    whole = whole if context else [tokenizer.bos_token_id, *whole]
    with torch.inference_mode():
        logits = model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    return sum(float(logits[i - 1, whole[i]]) for i in range(len(before), len(whole)))


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_scores_are_those_of_the_definition(tmp_path, family):
    folder = make_checkpoint(tmp_path / family, family)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert engine._scorer.packed, "the family honours a tree mask, so it must not fall back"
    requests = every_pair()
    for request, response in zip(requests, ask(engine, requests), strict=True):
        assert response.loglikelihood == pytest.approx(by_definition(folder, request), abs=1e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_plain_batches_give_the_same_scores(tmp_path, family):
    engine = LocalEngine(open_checkpoint(make_checkpoint(tmp_path / family, family)), device="cpu")
    requests = [*every_pair(), Request(RequestKind.ROLLING, "", "The baker said that. " * 40)]
    packed = ask(engine, requests)
    engine._scorer.packed = False
    engine.loaded.model.set_attn_implementation("sdpa")
    for a, b in zip(packed, ask(engine, requests), strict=True):
        assert a.loglikelihood == pytest.approx(b.loglikelihood, abs=1e-3)
        assert a.is_greedy == b.is_greedy


def test_a_model_that_ignores_the_mask_falls_back(tmp_path):
    folder = make_checkpoint(
        tmp_path / "bloom", "bloom", n_layer=2, n_head=4, hidden_size=32, scale=2.0
    )
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert not engine._scorer.packed
    assert "planned attention" in engine.warnings[0]
    request = every_pair()[1]
    assert ask(engine, [request])[0].loglikelihood == pytest.approx(
        by_definition(folder, request), abs=1e-3
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batch_size_changes_no_score(checkpoint, batch_size):
    requests = every_pair()
    free = ask(LocalEngine(open_checkpoint(checkpoint), device="cpu"), requests)
    bound = ask(
        LocalEngine(open_checkpoint(checkpoint), device="cpu", batch_size=batch_size), requests
    )
    for a, b in zip(free, bound, strict=True):
        assert a.loglikelihood == pytest.approx(b.loglikelihood, abs=1e-4)


def test_an_empty_continuation_scores_zero(checkpoint):
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    response = ask(engine, [Request(RequestKind.LOGLIKELIHOOD, "The baker", "")])[0]
    assert (response.loglikelihood, response.is_greedy) == (0.0, True)


def test_the_self_check_packs_and_carries(checkpoint):
    """It would prove nothing if each span had a pass to itself, or no trunk were kept."""
    loaded = LocalEngine(open_checkpoint(checkpoint), device="cpu").loaded
    together, carried = map(list, self_check.check_plans(self_check.check_spans(loaded)))
    assert len(together) == 1
    assert any(step.keep for step in carried)


def test_a_continuation_that_merges_into_its_context_is_scored(checkpoint):
    """Context and whole may have as many tokens; what changed is what the continuation made."""
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    tokenizer = engine.loaded.tokenizer
    context, continuation = "The bake", "r"
    before, whole = (tokenizer(t)["input_ids"] for t in (context, context + continuation))
    assert len(whole) <= len(before), "the tokenizer has a token for the whole word"
    response = ask(engine, [Request(RequestKind.LOGLIKELIHOOD, context, continuation)])[0]
    assert response.loglikelihood < 0
    assert response.output_tokens == 1


@pytest.mark.parametrize("family", ["mistral", "gemma2"])
def test_sliding_windows_and_soft_caps_are_honoured(tmp_path, family):
    folder = make_checkpoint(tmp_path / family, family, sliding_window=8)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert engine.is_forest
    requests = every_pair()
    for request, response in zip(requests, ask(engine, requests), strict=True):
        assert response.loglikelihood == pytest.approx(by_definition(folder, request), abs=1e-3)


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral", "gemma2"])
def test_attention_is_cut_where_trees_branch(tmp_path, monkeypatch, family, size):
    """Stems and branches attend apart, on carried trunks too, and no score moves."""
    monkeypatch.setattr(forward, "_GROUP", size)
    window = {"sliding_window": 8} if family in ("mistral", "gemma2") else {}
    folder = make_checkpoint(tmp_path / family, family, **window)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert engine.is_forest
    requests = every_pair()
    expected = [by_definition(folder, request) for request in requests]
    for tokens in (1024, 16):
        engine._scorer.budget = Budget(tokens, tokens)
        for value, response in zip(expected, ask(engine, requests), strict=True):
            assert response.loglikelihood == pytest.approx(value, abs=1e-3)


def test_groups_cover_each_token_once_with_its_ancestors():
    stem = tuple(range(6))
    spans = [Span((*stem, a, b, b, b, 0), 1) for a in (7, 8) for b in (9, 10)]
    (step,) = plan_passes(spans, token_budget=100, prediction_budget=100)
    groups = list(forward._cut(step.ends, 0, len(step.ends), (), 2))
    assert [place for g in groups for place in range(g.low, g.high)] == list(range(len(step.ends)))
    assert max(len(group.path) for group in groups) == 2
    for group in groups:
        above = [place for low, high in group.path for place in range(low, high)]
        ancestors = [p for p in range(group.low) if step.ends[p] >= group.high]
        assert above == ancestors


def test_positions_that_depend_on_length_are_scored_alone(tmp_path):
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    folder = make_checkpoint(tmp_path / "dynamic", rope_parameters=rope)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert not engine.is_forest
    long = Request(RequestKind.ROLLING, "", "The baker said that. " * 20)
    alone = ask(engine, [every_pair()[1]])[0]
    assert ask(engine, [long, every_pair()[1]])[1] == alone


def test_a_pass_lays_shared_tokens_once():
    spans = [Span((1, 2, 3, 4), 1), Span((1, 2, 3, 9), 1), Span((1, 2, 7, 8, 9), 2)]
    (step,) = plan_passes(spans, token_budget=100, prediction_budget=100)
    assert step.tokens.tolist() == [1, 2, 3, 7, 8]
    assert step.depths.tolist() == [0, 1, 2, 2, 3]
    seen = [[j for j in range(5) if j <= i < step.ends[j]] for i in range(5)]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 3], [0, 1, 3, 4]]


def test_a_long_preamble_is_laid_once_and_carried():
    preamble = tuple(range(1000, 1200))
    spans = [Span((*preamble, n, n + 1, n + 2), 1) for n in range(0, 300, 3)]
    passes = list(plan_passes(spans, token_budget=64, prediction_budget=64))
    assert sum(len(step.tokens) for step in passes) == 200 + 2 * 100
    assert [step.keep for step in passes[:5]] == [True, True, True, True, False]
    assert {step.level for step in passes[4:]} == {4}


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 2), min_size=2, max_size=12), st.integers(1, 11)),
        max_size=30,
    ),
    st.integers(1, 20),
    st.integers(1, 8),
)
@settings(max_examples=200, deadline=None)
def test_every_scored_token_is_predicted_once_from_its_own_past(drawn, budget, most):
    """Follow each prediction's ancestors back through the trunks: they spell the span's input."""
    spans = [Span(tuple(tokens), min(scored, len(tokens) - 1)) for tokens, scored in drawn]
    seen = {}
    trunks = []
    for step in plan_passes(spans, budget, prediction_budget=most, most_spans=most):
        del trunks[step.level :]
        before = [token for trunk in trunks for token in trunk]
        for place, target, owner in zip(step.places, step.targets, step.owners, strict=True):
            path = [j for j in range(place + 1) if place < step.ends[j]]
            past = before + [int(step.tokens[j]) for j in path]
            assert step.depths[place] == len(past) - 1
            assert (owner, len(past)) not in seen
            seen[owner, len(past)] = (*past, int(target))
        if step.keep:
            trunks.append(step.tokens.tolist())
    for index, span in enumerate(spans):
        for end in range(len(span.tokens) - span.scored, len(span.tokens)):
            assert seen.pop((index, end)) == span.tokens[: end + 1]
    assert not seen


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 17, 40])
def test_rolling_windows_are_lm_evals(length):
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    tokens = list(range(100, 100 + length))
    theirs = [
        Span(tuple(context + continuation), len(continuation))
        for context, continuation in map(
            make_disjoint_window,
            get_rolling_token_windows(tokens, prefix_token=0, max_seq_len=8, context_len=1),
        )
    ]
    assert windows([0, *tokens], length, max_length=8) == theirs


def test_deep_combs_are_cut_without_end():
    """A text with an answer after every few words, thousands of tokens long."""
    places = 6000
    ends = np.array([place + 1 if place % 3 == 2 else places for place in range(places)])
    groups = list(forward._cut(ends, 0, places, (), 2))
    assert [place for g in groups for place in range(g.low, g.high)] == list(range(places))


@pytest.fixture(scope="module")
def letter_engine(tmp_path_factory):
    """A model whose tokenizer knows a few letters, and leaves out spaces and all others."""
    folder = make_checkpoint(tmp_path_factory.mktemp("letters") / "llama")
    letters = {letter: place for place, letter in enumerate(["<|end|>", *"abehkrt"])}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", bos_token="<|end|>"
    ).save_pretrained(folder)
    return LocalEngine(open_checkpoint(folder), device="cpu")


def test_a_context_without_tokens_is_no_context(letter_engine):
    unknown = Request(RequestKind.LOGLIKELIHOOD, "\u65e5\u672c", " the")
    nothing = Request(RequestKind.LOGLIKELIHOOD, "", "the")
    found = ask(letter_engine, [unknown, nothing])
    assert found[0].loglikelihood == pytest.approx(found[1].loglikelihood, abs=1e-6)
    assert found[0].output_tokens == len("the")


def test_a_continuation_without_tokens_scores_zero(letter_engine):
    response = ask(letter_engine, [Request(RequestKind.LOGLIKELIHOOD, "the baker", " ")])[0]
    assert (response.loglikelihood, response.output_tokens) == (0.0, 0)
