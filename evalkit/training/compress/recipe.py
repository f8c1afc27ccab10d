"""The recipe of `evalkit compress`: how a checkpoint is made smaller, as one typed file."""

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from evalkit.training.adapt.recipe import MICRO_WORLD
from evalkit.training.corpus.settings import Section
from evalkit.training.optimisation import Optimisation
from evalkit.training.recipe import Architecture


class Prune(Section):
    """prune: the smallest weights of the linear layers become 0."""

    share: float = Field(0.5, gt=0, lt=1, description="share of the weights that become 0")
    scope: Literal["all", "layer"] = Field(
        "all", description="smallest of all layers together, or of each layer by itself"
    )


class Int8(Section):
    """int8: linear layers are stored in 8 bits, with a scale for each output."""

    activations: Literal["float", "int8"] = Field(
        "float", description="int8 also rounds what goes into a layer, token by token"
    )


class Int4(Section):
    """int4: linear layers are stored in 4 bits, with a scale for each group of inputs."""

    group: Literal[32, 64, 128, 256] = Field(
        32, description="inputs that share a scale; has to divide every layer's inputs"
    )


class Distil(Section):
    """distil: a small student learns what a large teacher foretells (arXiv 1503.02531)."""

    architecture: Architecture = Field(
        Architecture(layers=2, width=96, heads=3, feed_forward=256),
        description="the student; it takes over the teacher's tokenizer",
    )
    soft_share: float = Field(
        0.9, ge=0, le=1, description="share of the loss that is the teacher's; the rest the text's"
    )
    temperature: float = Field(1.0, gt=0, description="both are softened by it; 1 for not")
    source: str = Field(
        MICRO_WORLD,
        description="text to learn from: a JSONL file with text, a folder that evalkit corpus "
        "made, or micro-world",
    )
    optimisation: Optimisation = Field(
        Optimisation(steps=1000, batch_size=8, learning_rate=4.5e-3, weight_decay=0.05)
    )


_SECTIONS = ("prune", "int8", "int4", "distil")


class CompressRecipe(Section):
    """A smaller checkpoint made from another."""

    name: str = Field(
        "compressed", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the checkpoint"
    )
    parent: Path = Field(
        Path("checkpoints/micro/step-001500"), description="checkpoint to make smaller"
    )
    method: Literal["prune", "int8", "int4", "bf16", "onnx", "distil"] = Field(
        "int8",
        description="prune (weights to 0), int8 or int4 (bits a weight), bf16 (16), onnx (another "
        "format), distil (a small student)",
    )
    prune: Prune = Field(default_factory=Prune)
    int8: Int8 = Field(default_factory=Int8)
    int4: Int4 = Field(default_factory=Int4)
    distil: Distil = Field(default_factory=Distil)

    @model_validator(mode="after")
    def _fits_together(self) -> "CompressRecipe":
        for section in _SECTIONS:
            if section in self.model_fields_set and section != self.method:
                raise ValueError(f"method {self.method} does not read the section {section!r}")
        return self

    @model_serializer(mode="wrap")
    def _what_is_read(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the sections of other methods."""
        unread = set(_SECTIONS) - {self.method}
        return {name: value for name, value in dump(self).items() if name not in unread}
