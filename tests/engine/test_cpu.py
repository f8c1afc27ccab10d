"""The CPU fast path: the same figures, and nothing replaced where it does not apply."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from evalkit.engine import cpu
from tests.checkpoints import make_checkpoint


@pytest.fixture(params=["gpt2", "llama"])
def model(request, tmp_path):
    folder = make_checkpoint(tmp_path / request.param, request.param)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model):
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        return model(ids).logits


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_packed_layers_give_the_same_logits(model, monkeypatch, capability):
    """With GELU apart from its product, and as a part of it."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(cpu, "_pays", lambda layer: True)
    before = logits(model)
    assert cpu.pack_linears(model)
    kinds = {type(module) for module in model.modules()}
    assert cpu.PackedLinear in kinds
    assert not kinds & {nn.Linear, cpu.Conv1D}
    assert torch.allclose(logits(model), before, atol=1e-4, rtol=1e-4)


def test_nothing_is_replaced_where_it_does_not_pay(model, monkeypatch):
    monkeypatch.setattr(cpu, "_pays", lambda layer: False)
    kinds = [type(module) for module in model.modules()]
    assert not cpu.pack_linears(model)
    assert [type(module) for module in model.modules()] == kinds


def test_other_precisions_are_left_alone(model):
    assert not cpu.pack_linears(model.to(torch.bfloat16))


@pytest.mark.parametrize(("slowness", "packs"), [(0.4, True), (1.1, True), (3.0, False)])
def test_layers_are_packed_unless_that_is_clearly_slower(monkeypatch, slowness, packs):
    """Products of few rows gain where those of many, which are measured, are about as quick."""
    monkeypatch.setattr(
        cpu, "_seconds", lambda layer, inputs: slowness if isinstance(layer, nn.Module) else 1.0
    )
    assert cpu._pays(nn.Linear(64, 64)) is packs


def test_a_layer_that_packs_wrongly_is_refused(monkeypatch):
    class Wrong(nn.Module):
        def __init__(self, weight, bias):
            super().__init__()
            self.rows = len(weight)

        def forward(self, inputs):
            return inputs.new_zeros(len(inputs), self.rows)

    monkeypatch.setattr(cpu, "PackedLinear", Wrong)
    assert not cpu._pays(nn.Linear(64, 64))
