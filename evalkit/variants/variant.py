"""The variants there are: how each is made of a checkpoint, and how it is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class Variant:
    """Another form of a checkpoint.

    Attributes:
        about: What it is, in a few words.
        recipe: Keys of the `evalkit compress` recipe that makes it; None where the original's own
            weights are run in another way.
        settings: Of its runs, where they differ from the original's.
    """

    name: str
    about: str
    recipe: Mapping[str, Any] | None
    settings: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("int8", "linear layers in 8 bits, by torchao", {"method": "int8"}),
        Variant("int4", "linear layers in 4 bits, by torchao", {"method": "int4"}),
        Variant("bf16", "weights and arithmetic in bfloat16", {"method": "bf16"},
                {"dtype": "bfloat16"}),
        Variant("pruned50", "the smaller half of the linear weights 0, by torch",
                {"method": "prune", "prune": {"share": 0.5}}),
        Variant("onnx", "exported by torch, run by onnxruntime", {"method": "onnx"}),
        Variant("compiled", "the original through torch.compile", None, {"compile": True}),
    )
}  # fmt: skip
