"""Logits read in parts: the same figures, and only where nothing follows the output layer."""

import numpy as np
import pytest
import torch
from torch import nn

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


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_anywhere_shows_everywhere(small_parts, broken):
    layer, states, rows, targets = drawn(bias=False)
    layer.weight.data[299] = broken
    values, _ = OutputLayer(layer).read(states, rows, np.minimum(targets, 298))
    whole, _ = read(layer(states), rows, np.minimum(targets, 298))
    assert torch.equal(values.isfinite(), whole.isfinite())
    assert not values.isfinite().all()


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "phi"])
def test_a_plain_output_layer_is_read_in_parts(tmp_path, small_parts, family):
    folder = make_checkpoint(tmp_path / family, family)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    layer = engine.loaded.model.get_output_embeddings()
    assert isinstance(layer, OutputLayer)
    assert len(layer.parts) > 2
    requests = every_pair()
    for request, response in zip(requests, ask(engine, requests), strict=True):
        assert response.loglikelihood == pytest.approx(by_definition(folder, request), abs=1e-3)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gemma2", {"final_logit_softcapping": 30.0}),
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
