"""torchao's int4 layers on a processor, for which torchao itself has no kernel, but torch has."""

from typing import Any

import torch
from torch import Tensor, nn


class Int4Linear(nn.Module):
    """A linear layer of 4-bit weights, two a byte, multiplied by torch's own kernel.

    Args:
        layer: A linear layer whose weight is torchao's `Int4Tensor`.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.out_features, self.in_features = layer.weight.shape
        self.bias = layer.bias
        weight = layer.weight
        self._group = int(weight.block_size[-1])
        pairs = weight.qdata
        values = torch.stack([(pairs << 4) >> 4, pairs >> 4], -1).flatten(1)
        # The kernel counts from 0, with its zero at 8.
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(values.int() + 8, 1)
        self._scales = torch.stack([weight.scale, weight.zero_point], -1).contiguous()

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights and their scales."""
        return int(self._packed.nbytes + self._scales.nbytes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        rows = inputs.reshape(-1, self.in_features)
        product: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            rows, self._packed, self._group, self._scales.to(inputs.dtype)
        )
        if self.bias is not None:
            product = product + self.bias
        return product.view(*inputs.shape[:-1], self.out_features)


def run_int4_on_cpu(model: nn.Module) -> None:
    """Replace the layers whose weight is torchao's int4 tensor, where there are any."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(getattr(child, "weight", None)).__name__ == "Int4Tensor":
                setattr(parent, name, Int4Linear(child))
