"""Quantisation to int4, by torchao: 4 bits a weight on disk and in memory."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import TorchAoConfig
from transformers.quantizers.quantizer_torchao import TorchAoHfQuantizer

from evalkit.errors import UsageError
from evalkit.training.adapt.parent import Parent, load_causal
from evalkit.training.compress.recipe import Int4

# The processor's kernel takes outputs by so many.
_OUTPUTS = 16


def quantise(parent: Parent, choice: Int4) -> tuple[Any, dict[str, float]]:
    """Load the parent with its linear layers in int4; embeddings and the last layer stay float.

    torchao's own way to its int4 tensors leads through a library for graphics cards, so the numbers
    are rounded by its processor-side configuration and laid into the same tensors.

    Returns:
        The model, and `int4`, the share of its weights that are int4.

    Raises:
        UsageError: The model has no linear layers of fitting sizes.
    """
    from torchao.quantization import (  # type: ignore[import-untyped]
        Int4WeightOnlyConfig,
        IntxWeightOnlyConfig,
        quantize_,
    )
    from torchao.quantization.granularity import PerGroup  # type: ignore[import-untyped]

    model = load_causal(parent).requires_grad_(False)
    last = model.get_output_embeddings()

    def fits(layer: nn.Module, name: str) -> bool:
        return (
            type(layer) is nn.Linear
            and layer is not last
            and layer.in_features % choice.group == 0
            and layer.out_features % _OUTPUTS == 0
        )

    chosen = [layer for name, layer in model.named_modules() if fits(layer, name)]
    if not chosen:
        raise UsageError(
            f"{parent.path} has no linear layers that torchao can quantise in groups of "
            f"{choice.group} inputs; {parent.checkpoint.architecture} builds its layers of "
            "something else, or of other sizes."
        )
    whole = sum(weight.numel() for weight in model.parameters())
    kind: Any = torch.int4  # type: ignore[attr-defined]  # missing in torch's stubs
    quantize_(model, IntxWeightOnlyConfig(kind, PerGroup(choice.group)), fits)
    for layer in chosen:
        layer.weight = nn.Parameter(_packed(layer.weight, choice.group), requires_grad=False)
    settings = TorchAoConfig(Int4WeightOnlyConfig(choice.group, set_inductor_config=False))
    model.hf_quantizer = TorchAoHfQuantizer(settings, pre_quantized=True)
    model.config.quantization_config = settings
    held = sum(layer.in_features * layer.out_features for layer in chosen)
    return model, {"int4": held / whole}


def _packed(weight: Any, group: int) -> Tensor:
    """Torchao's unpacked integers (outputs, inputs) from -8 to 7 as its tensor of two a byte."""
    from torchao.quantization import Int4Tensor

    values = weight.qdata
    pairs = (values[:, 1::2] & 0xF) << 4 | values[:, ::2] & 0xF
    scale = weight.scale.T.contiguous()
    zero = (-weight.zero_point.T * scale).contiguous()
    packed: Tensor = Int4Tensor(pairs.contiguous(), scale, zero, [1, group], weight.shape)
    return packed
