"""The recipe of `evalkit finetune`: every choice in adapting a checkpoint, in one typed file."""

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from evalkit.training.corpus.settings import Section
from evalkit.training.optimisation import Optimisation

Method = Literal["sft", "dpo", "reward", "grpo", "classifier"]
Rule = Literal["answer", "last_number", "polite"]
MICRO_WORLD = "micro-world"


class Data(Section):
    """The rows to learn from: a JSONL file, or rows made from the micro-world."""

    source: str = Field(
        MICRO_WORLD,
        description="a JSONL file of prompt and completion, messages, prompt, chosen and rejected, "
        "or text and label; or micro-world",
    )
    kinds: tuple[str, ...] = Field(
        (), description="kinds of micro-world rows; all that suit the method if there is none"
    )
    rows: int | None = Field(
        None, ge=1, description="most rows; of the micro-world 2000 if there is no number"
    )
    held_out: float = Field(
        0.1, gt=0, lt=1, description="share of the prompts set aside to measure on"
    )
    drop_long: bool = Field(
        False, description="leave out rows longer than the context, instead of refusing them"
    )
    seed: int = Field(0, ge=0, description="seed of made rows, and of which are held out")


class Adapter(Section):
    """The few weights that are trained instead of all: LoRA (arXiv 2106.09685), or a prefix."""

    kind: Literal["none", "lora", "prefix"] = Field("none", description="none trains all weights")
    rank: int = Field(8, ge=1, description="lora: rank of the added matrices")
    alpha: int = Field(16, ge=1, description="lora: they are scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="lora: dropout before them")
    targets: tuple[str, ...] = Field(
        (), description="lora: names of the layers; all linear ones but the last if there is none"
    )
    virtual_tokens: int = Field(16, ge=1, description="prefix: its length in tokens")
    save: Literal["adapter", "merged"] = Field(
        "adapter", description="lora: the adapter alone, or a whole checkpoint with it merged in"
    )


class Preference(Section):
    """dpo: how strongly chosen is to be preferred to rejected (arXiv 2305.18290)."""

    beta: float = Field(0.1, gt=0, description="how dear it is to leave the parent")
    loss: Literal["sigmoid", "hinge", "ipo"] = Field("sigmoid", description="form of the loss")


class Reward(Section):
    """grpo: what is rewarded; dpo: what sampled replies are measured by."""

    model: str | None = Field(
        None, description="checkpoint that method reward made: it scores prompt and reply"
    )
    rule: Rule | None = Field(
        None,
        description="1 if kept, else 0: answer (the reply is the row's answer), last_number (its "
        "last number is), polite (no rude reply of the micro-world)",
    )


class Sampling(Section):
    """grpo (arXiv 2402.03300): replies that are sampled, and compared with each other."""

    generations: int = Field(8, ge=2, description="replies to each prompt")
    max_new_tokens: int = Field(24, ge=1, description="most tokens of a reply")
    temperature: float = Field(1.0, gt=0, description="temperature of sampling")
    beta: float = Field(0.0, ge=0, description="weight of the divergence from the parent")


_USED_BY: dict[str, set[str]] = {
    "preference": {"dpo"},
    "reward": {"dpo", "grpo"},
    "sampling": {"dpo", "grpo"},
    "adapter": {"sft", "dpo", "grpo"},
}
"""Section -> methods that read it; the others are read by all."""


class FinetuneRecipe(Section):
    """A checkpoint made from another by further training."""

    name: str = Field(
        "finetuned", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the checkpoint"
    )
    parent: Path = Field(
        Path("checkpoints/micro/step-001500"), description="checkpoint to start from"
    )
    method: Method = Field(
        "sft",
        description="sft (answers), dpo (preferences), reward (a reward model), grpo (rewards), "
        "classifier (labels)",
    )
    chat_template: Path | None = Field(
        None,
        description="Jinja file for messages; the parent's own, or a plain one, if there is none",
    )
    data: Data = Field(default_factory=Data)
    adapter: Adapter = Field(default_factory=Adapter)
    preference: Preference = Field(default_factory=Preference)
    reward: Reward = Field(default_factory=Reward)
    sampling: Sampling = Field(default_factory=Sampling)
    optimisation: Optimisation = Field(default_factory=Optimisation)

    @model_validator(mode="after")
    def _fits_together(self) -> "FinetuneRecipe":
        for section, methods in _USED_BY.items():
            if section in self.model_fields_set and self.method not in methods:
                raise ValueError(
                    f"method {self.method} does not read the section {section!r}, which is for "
                    f"{' and '.join(sorted(methods))}"
                )
        if self.method == "grpo" and (self.reward.model is None) == (self.reward.rule is None):
            raise ValueError("method grpo needs either reward.model or reward.rule")
        if self.adapter.kind == "prefix" and self.adapter.save == "merged":
            raise ValueError("a prefix cannot be merged; take adapter.save: adapter")
        return self

    @model_serializer(mode="wrap")
    def _what_is_read(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the sections that the method does not read."""
        unread = {name for name, methods in _USED_BY.items() if self.method not in methods}
        return {name: value for name, value in dump(self).items() if name not in unread}
