"""The recipe: every choice made in training a series of checkpoints, as one typed file."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

from pydantic import BaseModel, Discriminator, Field, Tag, field_validator, model_validator

from evalkit.training.corpus.settings import Prepared, Section, TextCorpus, Tokenizer
from evalkit.training.recipe_file import read_recipe
from evalkit.training.recipe_help import describe
from evalkit.training.world.corpus import SHARES
from evalkit.training.world.heldout import KINDS
from evalkit.training.world.knobs import Knobs
from evalkit.training.world.world import DEFAULT_SEED

AnyRecipe = TypeVar("AnyRecipe", bound=BaseModel)


class MicroWorld(Knobs):
    """The generated world, with the effects planted in it."""

    seed: int = Field(
        DEFAULT_SEED, description="seed of the world; the tasks in tasks/ ask about the default one"
    )
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: dict(SHARES),
        min_length=1,
        description="kinds of passages and how much of each there is; others are left out",
    )

    @field_validator("shares")
    @classmethod
    def _known(cls, shares: dict[str, float]) -> dict[str, float]:
        for kind in shares:
            if kind not in SHARES:
                raise ValueError(
                    f"corpus.shares names {kind!r}; kinds of passages are {', '.join(SHARES)}"
                )
        return shares

    @model_validator(mode="after")
    def _leaks(self) -> "MicroWorld":
        if self.leaked_tests and not self.shares.keys() & KINDS.values():
            raise ValueError(
                "corpus.leaked_tests leaks nothing: no held-out test asks about the kinds of "
                "passages in corpus.shares"
            )
        return self


class Architecture(Section):
    """The model: any causal or masked one that transformers knows; the rest is for its config."""

    model_type: str = Field(
        "qwen3", description="qwen3, llama, gpt2, bert, or any other model_type of transformers"
    )
    layers: int = Field(3, ge=1, description="transformer blocks")
    width: int = Field(192, ge=8, description="size of the hidden state")
    heads: int = Field(3, ge=1, description="attention heads; must divide the width")
    key_value_heads: int | None = Field(
        None, ge=1, description="heads of keys and values; as many as heads if there is no number"
    )
    feed_forward: int = Field(512, ge=8, description="size of the feed-forward layer")
    context: int = Field(128, ge=16, description="longest sequence, in tokens")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout, wherever the model has one")
    tie_embeddings: bool = Field(True, description="one matrix for the first layer and the last")
    initializer_range: float = Field(0.06, gt=0, description="deviation of the initial weights")
    attention: Literal["eager", "sdpa", "flash_attention_2"] = Field(
        "eager", description="eager is quickest on CPUs at short contexts, sdpa elsewhere"
    )
    config: dict[str, Any] = Field(
        default_factory=dict, description="further keys of the model's own configuration"
    )

    @model_validator(mode="after")
    def _even_heads(self) -> "Architecture":
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(
                f"architecture.heads must divide the width {self.width} into even parts, and "
                f"{self.heads} does not"
            )
        if self.heads % (self.key_value_heads or self.heads):
            raise ValueError(
                f"architecture.key_value_heads must divide the {self.heads} heads, and "
                f"{self.key_value_heads} does not"
            )
        return self


class Pretraining(Section):
    """The optimisation: AdamW with linear warm-up and a schedule."""

    objective: Literal["causal", "masked"] = Field(
        "causal", description="causal foretells the next token, masked those that are masked"
    )
    mask_share: float = Field(
        0.15, gt=0, lt=1, description="masked: share of tokens to foretell (BERT's 80/10/10)"
    )
    packing: Literal["auto", "documents", "stream"] = Field(
        "auto",
        description="documents stay whole, the longest cut, or run on as one stream; auto is "
        "documents for the micro-world, stream for text",
    )
    steps: int = Field(1500, ge=1, description="optimiser steps")
    batch_size: int = Field(8, ge=1, description="packed sequences a step, over all processes")
    accumulation: int = Field(1, ge=1, description="parts in which a step is computed, for memory")
    learning_rate: float = Field(4.5e-3, gt=0, description="peak rate")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="how the rate falls; constant falls only at the end (decay_share)"
    )
    warmup_steps: int = Field(60, ge=0, description="steps from rate 0 to the peak")
    decay_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="constant: share of the steps in which the rate falls, linearly",
    )
    final_rate: float = Field(0.0, ge=0, le=1, description="share of the peak rate at the end")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's decoupled weight decay")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's memory of gradients")
    beta2: float = Field(0.98, ge=0, lt=1, description="AdamW's memory of their squares")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="autocast type; weights are fp32; fp16 needs a GPU; auto is bf16 where that is "
        "faster, else fp32, and what a resumed training has had",
    )
    activation_checkpointing: bool = Field(
        False, description="compute activations twice instead of keeping them: less memory"
    )
    compile: bool = Field(False, description="torch.compile; needs a C++ compiler, and minutes")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("cpu", description="where to train")
    seed: int = Field(0, ge=0, description="seed of weights, dropout, masks and order of text")
    threads: int = Field(
        2, ge=1, description="CPU threads; weights are the same to the last bit only at the same"
    )
    save_at: tuple[float, ...] = Field(
        (0.3, 1.0), description="shares of the steps after which a checkpoint is saved for good"
    )

    @field_validator("save_at")
    @classmethod
    def _shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares or not all(0 < share <= 1 for share in shares):
            raise ValueError("pretraining.save_at must be shares above 0 and up to 1")
        return shares

    @model_validator(mode="after")
    def _batches(self) -> "Pretraining":
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"pretraining.accumulation must divide the batch_size {self.batch_size}, and "
                f"{self.accumulation} does not"
            )
        return self


class Watch(Section):
    """What is looked at while it trains; metrics.parquet beside the checkpoints has all of it."""

    log_every: int = Field(10, ge=1, description="steps between two looks at the loss")
    held_out: int = Field(0, ge=0, description="sequences not learnt from but measured; 0 for none")
    evaluate_every: int = Field(100, ge=1, description="steps between two measurements of those")
    report_to: tuple[Literal["tensorboard", "trackio", "mlflow"], ...] = Field(
        (), description="where else metrics go: tensorboard, trackio, mlflow"
    )


class Saving(Section):
    """Further checkpoints, to go on from (`--resume`) after a power cut or a kill."""

    every_steps: int | None = Field(None, ge=1, description="steps between two of them")
    every_minutes: float | None = Field(None, gt=0, description="minutes between two of them")
    keep_last: int = Field(2, ge=1, description="newest ones kept")
    keep_best: int = Field(1, ge=0, description="ones kept for their loss on held-out sequences")


class Scale(Section):
    """Several processes, started by `torchrun --nproc-per-node N -m evalkit train RECIPE`."""

    strategy: Literal["ddp", "fsdp2", "zero1", "zero2", "zero3"] = Field(
        "ddp", description="ddp, fsdp2 (weights sharded), or DeepSpeed's ZeRO 1, 2 or 3"
    )
    cpu_offload: bool = Field(False, description="fsdp2, zero2 and zero3: keep shards on the host")


def _kind(value: Any) -> str:
    """Which corpus is meant: the key that only it has tells."""
    for model, key, tag in ((TextCorpus, "collect", "text"), (Prepared, "prepared", "prepared")):
        if isinstance(value, model) or (isinstance(value, dict) and key in value):
            return tag
    return "micro-world"


Corpus = Annotated[
    Annotated[MicroWorld, Tag("micro-world")]
    | Annotated[TextCorpus, Tag("text")]
    | Annotated[Prepared, Tag("prepared")],
    Discriminator(_kind),
]


class Recipe(Section):
    """A series of checkpoints, from corpus to weights; the defaults make the micro-world's."""

    name: str = Field(
        "micro", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the series"
    )
    corpus: Corpus = Field(default_factory=MicroWorld, description="the text to learn from")
    tokenizer: Tokenizer = Field(default_factory=Tokenizer)
    architecture: Architecture = Field(default_factory=Architecture)
    pretraining: Pretraining = Field(default_factory=Pretraining)
    watch: Watch = Field(default_factory=Watch)
    saving: Saving = Field(default_factory=Saving)
    scale: Scale = Field(default_factory=Scale)

    @classmethod
    def tiny(cls) -> "Recipe":
        """A recipe that trains in seconds and learns next to nothing; for tests."""
        return cls(
            name="tiny",
            tokenizer=Tokenizer(vocabulary=512, passages=300),
            architecture=Architecture(layers=2, width=32, heads=2, feed_forward=64),
            pretraining=Pretraining(
                steps=8, batch_size=4, warmup_steps=2, save_at=(0.5, 1.0), threads=1
            ),
        )

    @property
    def save_steps(self) -> list[int]:
        """Steps after which a checkpoint is saved for good, early to late."""
        steps = self.pretraining.steps
        return sorted({max(1, round(share * steps)) for share in self.pretraining.save_at})

    @property
    def tokens(self) -> int:
        """Tokens seen by the last step."""
        return self.pretraining.steps * self.tokens_per_step

    @property
    def tokens_per_step(self) -> int:
        """Tokens in one step's packed sequences."""
        return self.pretraining.batch_size * self.architecture.context


@overload
def load_recipe(
    path: str | Path | None = ..., overrides: dict[str, str] | None = ...
) -> Recipe: ...
@overload
def load_recipe(
    path: str | Path | None = ...,
    overrides: dict[str, str] | None = ...,
    *,
    model: type[AnyRecipe],
) -> AnyRecipe: ...
def load_recipe(
    path: str | Path | None = None,
    overrides: dict[str, str] | None = None,
    *,
    model: type[BaseModel] = Recipe,
) -> BaseModel:
    """Read a recipe from a YAML file and apply overrides to it.

    Args:
        path: The file, or the name of a recipe that is shipped; None for the defaults.
        overrides: Dotted key -> value in YAML, such as `{"corpus.rude_share": "0.5"}`.
        model: Kind of recipe.

    Raises:
        UsageError: The file cannot be read, a key is unknown, or a value is impossible.
    """
    return read_recipe(path, overrides or {}, model)


def describe_recipe(model: type[BaseModel] = Recipe) -> str:
    """Every key of a kind of recipe with its default, as commented YAML."""
    return describe(model)
