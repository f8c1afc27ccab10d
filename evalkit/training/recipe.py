"""The recipe: every choice made in training a series of checkpoints, as one typed file."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import UsageError
from evalkit.training.world.knobs import Knobs
from evalkit.training.world.world import DEFAULT_SEED


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Corpus(Knobs):
    """The text to learn from: the micro-world, with the effects planted in it."""

    seed: int = Field(
        DEFAULT_SEED, description="seed of the world; the tasks in tasks/ ask about the default one"
    )


class Tokenizer(_Section):
    """The byte-level BPE tokenizer, trained on the beginning of the corpus."""

    vocabulary: int = Field(2048, ge=300, le=65536, description="number of tokens")
    passages: int = Field(4000, ge=1, description="passages of the corpus it is trained on")


class Architecture(_Section):
    """The decoder: Qwen3-style, with normalised queries and keys and tied embeddings."""

    layers: int = Field(3, ge=1, description="transformer blocks")
    width: int = Field(192, ge=8, description="size of the hidden state")
    heads: int = Field(3, ge=1, description="attention heads; must divide the width")
    feed_forward: int = Field(512, ge=8, description="size of the feed-forward layer")
    context: int = Field(128, ge=16, description="longest sequence, in tokens")
    initializer_range: float = Field(0.06, gt=0, description="deviation of the initial weights")


class Pretraining(_Section):
    """The optimisation: AdamW with linear warm-up and cosine decay."""

    steps: int = Field(1500, ge=1, description="optimiser steps")
    batch_size: int = Field(8, ge=1, description="packed sequences a step")
    learning_rate: float = Field(4.5e-3, gt=0, description="peak rate")
    warmup_steps: int = Field(60, ge=0, description="steps from rate 0 to the peak")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's decoupled weight decay")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    precision: Literal["bf16", "fp32"] = Field(
        "bf16", description="autocast type; weights are fp32"
    )
    seed: int = Field(0, ge=0, description="seed of the initial weights")
    threads: int = Field(
        1,
        ge=1,
        description="CPU threads; two are faster on idle cores, many times slower on busy ones",
    )
    save_at: tuple[float, ...] = Field(
        (0.3, 1.0), description="shares of the steps after which a checkpoint is saved"
    )


class Recipe(_Section):
    """A series of checkpoints, from corpus to weights; the defaults make the micro-world's."""

    name: str = Field(
        "micro", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the series"
    )
    corpus: Corpus = Field(default_factory=Corpus)
    tokenizer: Tokenizer = Field(default_factory=Tokenizer)
    architecture: Architecture = Field(default_factory=Architecture)
    pretraining: Pretraining = Field(default_factory=Pretraining)

    @classmethod
    def tiny(cls) -> "Recipe":
        """A recipe that trains in seconds and learns next to nothing; for tests."""
        return cls(
            name="tiny",
            tokenizer=Tokenizer(vocabulary=512, passages=300),
            architecture=Architecture(layers=2, width=32, heads=2, feed_forward=64),
            pretraining=Pretraining(steps=8, batch_size=4, warmup_steps=2, save_at=(0.5, 1.0)),
        )

    @property
    def save_steps(self) -> list[int]:
        """Steps after which a checkpoint is saved, early to late."""
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


def load_recipe(path: Path | None = None, overrides: dict[str, str] | None = None) -> Recipe:
    """Read a recipe from a YAML file and apply overrides to it.

    Args:
        path: The file; None for the defaults, which make the micro-world's series.
        overrides: Dotted key -> value in YAML, such as `{"corpus.rude_share": "0.5"}`.

    Raises:
        UsageError: The file cannot be read, a key is unknown, or a value is impossible.
    """
    values = _read(path) if path else {}
    for key, text in (overrides or {}).items():
        _override(values, key, text)
    source = str(path) if path else "the recipe"
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(_explain(error, source)) from None
    _check(recipe, source)
    return recipe


def describe_recipe() -> str:
    """Every key of a recipe with its default, as the YAML of the default recipe with comments."""
    lines = []
    defaults = Recipe()
    for name, field in Recipe.model_fields.items():
        section = getattr(defaults, name)
        if not isinstance(section, BaseModel):
            lines.append(f"{name}: {section}  # {field.description}")
            continue
        lines.append(f"\n# {(type(section).__doc__ or '').strip()}\n{name}:")
        for key, inner in type(section).model_fields.items():
            value = yaml.safe_dump(section.model_dump(mode="json")[key], default_flow_style=True)
            lines.append(f"  {key}: {value.splitlines()[0]}  # {inner.description}")
    return "\n".join(lines) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"Cannot read the recipe {path}: {reason}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise UsageError(f"The recipe {path}{where} is not valid YAML: {problem}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"The recipe {path} must be a mapping of sections; see --help-recipe.")
    return values


def _override(values: dict[str, Any], key: str, text: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"Cannot set {key}: {section} is not a section of the recipe.")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"Cannot set {key}: {text!r} is not a YAML value.") from None


def _explain(error: ValidationError, source: str) -> str:
    """The first fault in one sentence, with the nearest key where one is unknown."""
    fault = error.errors()[0]
    if not fault["loc"]:  # a key that is no text has no name to show
        return f"A key of {source} is no readable text: {fault['msg']}."
    *sections, last = [str(part) for part in fault["loc"]]
    key = ".".join([*sections, last])
    if fault["type"] == "extra_forbidden":
        known = list(_fields(sections))
        near = get_close_matches(last, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
        return f"Unknown key {key!r} in {source}; {hint}"
    return f"Bad value for {key!r} in {source}: {fault['msg']}, not {fault['input']!r}."


def _fields(sections: list[str]) -> dict[str, Any]:
    model: Any = Recipe
    for section in sections:
        model = model.model_fields[section].annotation
    return dict(model.model_fields)


def _check(recipe: Recipe, source: str) -> None:
    """What no single field can tell."""
    model, training = recipe.architecture, recipe.pretraining
    if model.width % model.heads or (model.width // model.heads) % 2:
        raise UsageError(
            f"architecture.heads in {source} must divide the width {model.width} into even parts, "
            f"and {model.heads} does not."
        )
    if not training.save_at or not all(0 < share <= 1 for share in training.save_at):
        raise UsageError(f"pretraining.save_at in {source} must be shares above 0 and up to 1.")
