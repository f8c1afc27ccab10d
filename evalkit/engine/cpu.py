"""The CPU fast path: float32 matrix products by oneDNN with weights laid out in advance.

MKL, PyTorch's default, lays the weights out anew for each product. On AMD processors with AVX-512
it reaches less than half of what oneDNN does with prepacked weights; where a product has few rows,
as in a step of generation, on others too. `torch.compile` with freezing uses the same operators,
but needs a compiler and minutes.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.pytorch_utils import Conv1D

_ROWS = 1024
_WIDTH = 512
# oneDNN's names of what follows a product: operation, its numbers, its variant.
_PLAIN: tuple[str, list[float], str] = ("none", [], "")
_GELU: tuple[str, list[float], str] = ("gelu", [], "tanh")
# With narrower vectors the product itself, with GELU in it, takes longer than both apart.
_FUSES_GELU = "AVX512"
# Products of many rows gain 2.2 on AMD processors with AVX-512 and little on those without, where
# those of few rows gain up to twofold: only where many rows lose is it another kind of machine.
_LOSS = 1.25


class PackedLinear(nn.Module):
    """A linear layer whose weight is stored in oneDNN's blocked layout.

    Args:
        weight: Shape (outputs, inputs), float32.
        bias: Shape (outputs,), or None.
        gelu: Whether GELU in its tanh form follows, computed while the product is at hand.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
        self._bias = bias
        self._then = _GELU if gelu else _PLAIN

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._packed, self._bias, *self._then
        )
        return product


def pack_linears(model: nn.Module) -> bool:
    """Replace a float32 CPU model's linear layers unless that slows it here.

    The figures agree to float tolerance: both libraries sum the same products, in another order.
    GPT-2's activation, written out in six operations, becomes one, or a part of the product before.

    Returns:
        Whether the layers were replaced.
    """
    layers = [
        (parent, name, child.weight)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) in (nn.Linear, Conv1D)
    ]
    if any(type(weight) is not nn.Parameter for _, _, weight in layers):  # quantised
        return False
    places = [
        (parent, name)
        for parent, name, weight in layers
        # An adapter keeps its layers in a ModuleDict, and asks them for their weights.
        if weight.dtype is torch.float32 and not isinstance(parent, nn.ModuleDict)
    ]
    # The smallest layer shows as well as another whether its product is right.
    if not places or not _pays(min((getattr(*place) for place in places), key=_size)):
        return False
    for parent, name in places:
        layer, gelu = getattr(parent, name), False
        if type(parent) is GPT2MLP and name == "c_fc" and type(parent.act) is NewGELUActivation:
            gelu = torch.backends.cpu.get_cpu_capability() == _FUSES_GELU
            parent.act = nn.Identity() if gelu else nn.GELU(approximate="tanh")
        setattr(parent, name, PackedLinear(_weight(layer), layer.bias, gelu))
    # What is left still points into the mapped weight file, which would stay in memory whole.
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return True


def _size(layer: Any) -> int:
    return int(layer.weight.numel())


def _weight(layer: Any) -> Tensor:
    """(outputs, inputs); GPT-2's Conv1D stores the transpose."""
    weight: Tensor = layer.weight.detach()
    return weight.T if isinstance(layer, Conv1D) else weight


def _pays(layer: Any) -> bool:
    """Whether the packed product is right, and not clearly slower on this machine.

    Speed is measured on a product of a fixed size and on one thread: on a small layer, or where two
    threads wait for each other on a busy machine, chance would decide, and a run would not repeat
    to the last bit.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    random = torch.Generator().manual_seed(0)
    weight = _weight(layer)
    inputs = torch.randn(_ROWS, weight.shape[1], generator=random)
    square = torch.randn(_WIDTH, _WIDTH, generator=random)
    probe = torch.randn(_ROWS, _WIDTH, generator=random)
    try:
        packed = PackedLinear(weight, layer.bias)(inputs)
        usual, quick = partial(nn.functional.linear, weight=square), PackedLinear(square, None)
        right = torch.allclose(packed, layer(inputs), rtol=1e-3, atol=1e-3)
        return right and _seconds(quick, probe) < _LOSS * _seconds(usual, probe)
    except (RuntimeError, AttributeError):
        return False


@torch.inference_mode()
def _seconds(layer: Callable[[Tensor], Tensor], inputs: Tensor) -> float:
    """Least CPU seconds of a few calls on one thread; other processes do not stretch it."""
    best, threads = float("inf"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            start = time.process_time()
            layer(inputs)
            best = min(best, time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return best
