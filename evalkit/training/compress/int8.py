"""Quantisation to int8, by torchao: 8 bits a weight on disk and in memory."""

from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, TorchAoConfig
from transformers.utils.logging import disable_progress_bar

from evalkit.errors import UsageError
from evalkit.training.adapt.parent import Parent
from evalkit.training.compress.recipe import Int8


def quantise(parent: Parent, choice: Int8) -> tuple[Any, dict[str, float]]:
    """Load the parent with its linear layers in int8; embeddings and the last layer stay float.

    Returns:
        The model, and `int8`, the share of its weights that are int8.

    Raises:
        UsageError: The model has no linear layers.
    """
    disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        parent.path,
        dtype=torch.float32,
        quantization_config=TorchAoConfig(_config(choice)),
        local_files_only=True,
        use_safetensors=True,
    )
    whole = sum(weight.numel() for weight in model.parameters())
    held = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, nn.Linear) and hasattr(module.weight, "qdata")
    )
    if not held:
        raise UsageError(
            f"{parent.path} has no linear layers that torchao can quantise; "
            f"{parent.checkpoint.architecture} builds its layers of something else."
        )
    return model, {"int8": held / whole}


def _config(choice: Int8) -> Any:
    from torchao.quantization import (  # type: ignore[import-untyped]
        Int8DynamicActivationInt8WeightConfig,
        Int8WeightOnlyConfig,
    )

    if choice.activations == "float":
        return Int8WeightOnlyConfig(set_inductor_config=False)
    # Without VNNI a CPU adds up products of full 8-bit numbers in 16 bits, and they overflow.
    return Int8DynamicActivationInt8WeightConfig(set_inductor_config=False, reduce_range=True)
