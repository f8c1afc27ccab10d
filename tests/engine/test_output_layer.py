"""Logits read in parts: the same figures, and only where nothing follows the output layer."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM

from evalkit.engine import output_layer
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.engine.output_layer import OutputLayer
from evalkit.engine.reading import read
from tests.checkpoints import make_checkpoint
from tests.engine.test_scoring import ask, by_definition, every_pair

STATES, WIDTH, VOCABULARY = 70, 12, 300


@pytest.fixture
def small_parts(monkeypatch):
    """Tiny vocabularies and few rows are cut too."""
    monkeypatch.setattr(output_layer, "_WIDTH", 64)
    monkeypatch.setattr(output_layer, "_ROWS", 16)


def drawn(bias):
    """A layer, states, and predictions: several of a place, places out of order."""
    torch.manual_seed(0)
    rows = np.random.default_rng(0).integers(0, STATES, 200)
    targets = np.random.default_rng(1).integers(0, VOCABULARY, 200)
    return nn.Linear(WIDTH, VOCABULARY, bias=bias), torch.randn(STATES, WIDTH), rows, targets


@pytest.mark.parametrize("bias", [True, False])
def test_parts_are_read_like_the_whole(small_parts, bias):
    layer, states, rows, targets = drawn(bias)
    targets[::3] = layer(states).argmax(-1).numpy()[rows[::3]]
    parts = OutputLayer(layer)
    assert len(parts.parts) == 5
    assert torch.allclose(parts(states), layer(states), atol=1e-6)
    expected, likeliest = read(layer(states), rows, targets)
    found, first = parts.read(states, rows, targets)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(first, likeliest)
    assert 50 < int(first.sum()) < 200


def test_of_equal_logits_in_two_parts_the_first_counts(small_parts):
    layer, states, rows, _ = drawn(bias=False)
    layer.weight.data.zero_()
    layer.weight.data[[70, 250]] = 1.0  # the likeliest two where the states add up to more than 0
    is_positive = states.sum(-1).numpy()[rows] > 0
    for token, counts in ((70, is_positive), (250, is_positive & False), (0, ~is_positive)):
        _, first = OutputLayer(layer).read(states, rows, np.full(len(rows), token))
        assert (first.numpy() == counts).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows_as_in_the_whole(small_parts, broken):
    layer, states, rows, targets = drawn(bias=True)
    layer.bias.data[299] = broken
    values, first = OutputLayer(layer).read(states, rows, np.minimum(targets, 298))
    whole, likeliest = read(layer(states), rows, np.minimum(targets, 298))
    assert torch.allclose(values, whole, atol=1e-5, equal_nan=True)
    assert torch.equal(first, likeliest)
    assert values.isfinite().all() == (broken == -np.inf)


def test_a_token_beyond_the_vocabulary_is_refused(small_parts):
    layer, states, rows, targets = drawn(bias=False)
    for beyond in (VOCABULARY, 1000):
        with pytest.raises(IndexError):
            OutputLayer(layer).read(states, rows, np.where(targets == targets[0], beyond, targets))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "phi"])
def test_a_plain_output_layer_is_read_in_parts(tmp_path, small_parts, family):
    folder = make_checkpoint(tmp_path / family, family)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    layer = engine.loaded.model.get_output_embeddings()
    assert isinstance(layer, OutputLayer)
    assert len(layer.parts) > 2
    assert engine._scorer.budget.predictions is None
    requests = every_pair()
    for request, response in zip(requests, ask(engine, requests), strict=True):
        assert response.loglikelihood == pytest.approx(by_definition(folder, request), abs=1e-3)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gemma2", {"final_logit_softcapping": 30.0}),
        # The first token's states are nothing there, and nothing squashed is nothing.
        ("gemma2", {"final_logit_softcapping": 30.0, "pad_token_id": 0}),
        ("granite", {"logits_scaling": 2.0}),
        ("cohere", {"logit_scale": 0.5}),
    ],
)
def test_logits_that_are_scaled_or_squashed_stay_whole(tmp_path, small_parts, family, settings):
    folder = make_checkpoint(tmp_path / family, family, **settings)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert engine.is_forest
    assert not isinstance(engine.loaded.model.get_output_embeddings(), OutputLayer)
    request = every_pair()[1]
    assert ask(engine, [request])[0].loglikelihood == pytest.approx(
        by_definition(folder, request), abs=1e-3
    )


def altered(monkeypatch, folder, change):
    """An engine whose model passes its result through a function."""
    plain = LlamaForCausalLM.forward

    def forward(self, *arguments, **settings):
        found = plain(self, *arguments, **settings)
        found.logits = change(self, found.logits)
        return found

    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    engine = LocalEngine(open_checkpoint(folder), device="cpu", dtype="bfloat16")
    assert engine.is_forest
    ask(engine, every_pair())
    return engine


@pytest.mark.parametrize(
    "change",
    [
        lambda model, logits: logits.float(),
        lambda model, logits: logits.mul_(0.5),
        lambda model, logits: logits.to(model.lm_head.weight.dtype),
        lambda model, logits: 128 * torch.tanh(logits / 128),  # nothing of it shows in bfloat16
    ],
    ids=["another type", "in place", "asks the layer for its weight", "soft-cap"],
)
def test_a_model_that_does_more_keeps_its_layer(checkpoint, small_parts, monkeypatch, change):
    engine = altered(monkeypatch, checkpoint, change)
    assert type(engine.loaded.model.lm_head) is nn.Linear
    assert engine._scorer.budget.predictions


def refuse(model, layer):
    raise AttributeError("lm_head")


@pytest.mark.parametrize("setter", [refuse, lambda model, layer: None])
def test_a_model_that_takes_no_other_layer_keeps_its_own(
    checkpoint, small_parts, monkeypatch, setter
):
    monkeypatch.setattr(LlamaForCausalLM, "set_output_embeddings", setter)
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    assert engine.is_forest
    assert engine._scorer.budget.predictions
    ask(engine, every_pair())


def test_low_precision_is_read_in_parts_too(checkpoint, small_parts, monkeypatch):
    engine = altered(monkeypatch, checkpoint, lambda model, logits: logits)
    assert isinstance(engine.loaded.model.lm_head, OutputLayer)


def test_what_is_known_changes_nothing_to_the_last_bit(checkpoint, small_parts):
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    whole = ask(engine, every_pair())
    rest = dict(pair for batch in engine.respond(every_pair(), range(9)) for pair in batch)
    assert rest == {i: response for i, response in enumerate(whole) if i >= 9}
