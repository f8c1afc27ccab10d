"""Magnitude pruning: the smallest weights become 0, for good."""

from typing import Any

from torch import nn
from torch.nn.utils import prune
from transformers.pytorch_utils import Conv1D

from evalkit.errors import UsageError
from evalkit.training.compress.recipe import Prune


def prune_weights(model: Any, choice: Prune) -> dict[str, float]:
    """Set the smallest weights of all linear layers to 0; a tied output layer is left as it is.

    Args:
        model: Changed in place.
        choice: How many, and among which.

    Returns:
        Share of zeros: `linear_zeros` of the layers' weights, `zeros` of all.

    Raises:
        UsageError: The model has no linear layers.
    """
    embeddings = {id(layer.weight) for layer in _embeddings(model)}
    layers = [
        (module, "weight")
        for module in model.modules()
        if isinstance(module, nn.Linear | Conv1D) and id(module.weight) not in embeddings
    ]
    if not layers:
        raise UsageError("The parent has no linear layers to prune.")
    if choice.scope == "all":
        prune.global_unstructured(layers, prune.L1Unstructured, amount=choice.share)
    else:
        for module, name in layers:
            prune.l1_unstructured(module, name, choice.share)  # type: ignore[no-untyped-call]
    for module, name in layers:
        prune.remove(module, name)  # type: ignore[no-untyped-call]
    weights = [module.weight for module, _ in layers]
    return {"linear_zeros": _zeros(weights), "zeros": _zeros(list(model.parameters()))}


def _embeddings(model: Any) -> list[Any]:
    found = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [layer for layer in found if layer is not None]


def _zeros(weights: list[Any]) -> float:
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / sum(int(weight.numel()) for weight in weights)
