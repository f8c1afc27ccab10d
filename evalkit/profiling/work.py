"""What a model computes and reads for a token, for shares of the machine's peaks."""

from dataclasses import dataclass
from typing import Any

from evalkit.engine.local import LocalEngine

_LINEAR = ("Linear", "Conv1D", "PackedLinear", "Int4Linear")


@dataclass(frozen=True, slots=True)
class Work:
    """Of one token through the model.

    Attributes:
        linear_flop: Floating-point operations of the linear layers, two a multiply-add, without the
            output layer; attention is left out, so that a share of the peak is understated.
        output_flop: Of the output layer, which is computed only where a token is predicted.
        weight_bytes: Bytes of those layers' weights, read once a step whatever the batch.
        cache_bytes: Keys and values that each token adds; None where the model keeps them itself.
    """

    linear_flop: float
    output_flop: float
    weight_bytes: float
    cache_bytes: int | None


def work_of(engine: LocalEngine) -> Work:
    """Count a loaded model's work.

    Source: the linear layers' part of Narayanan et al. 2021, "Efficient large-scale language model
    training on GPU clusters", appendix; model FLOP utilisation as in Chowdhery et al. 2022, "PaLM",
    appendix B.
    """
    model = engine.loaded.model
    layers = [m for m in model.modules() if type(m).__name__ in _LINEAR]
    held = sum(_bytes(layer, model.dtype.itemsize) for layer in layers)
    last_layer = model.get_output_embeddings()
    output = set() if last_layer is None else set(last_layer.modules())
    last = sum(_weights(layer) for layer in layers if layer in output)
    inner = sum(map(_weights, layers)) - last
    return Work(2.0 * inner, 2.0 * last, float(held), engine.cache_bytes_per_token)


def _weights(layer: Any) -> int:
    if hasattr(layer, "in_features"):
        return int(layer.in_features * layer.out_features)
    return int(layer.weight.numel())


def _bytes(layer: Any, itemsize: int) -> int:
    """What a layer's weights take, with their scales where they are quantised."""
    weight: Any = getattr(layer, "weight", None)
    if hasattr(layer, "weight_bytes"):
        return int(layer.weight_bytes)
    if hasattr(weight, "qdata"):
        return int(weight.qdata.nbytes + weight.scale.nbytes)
    return _weights(layer) * itemsize
