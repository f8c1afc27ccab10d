"""The recipe of `evalkit sweep`: what to search, where, and for how long."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from evalkit.training.adapt.recipe import FinetuneRecipe
from evalkit.training.corpus.settings import Section
from evalkit.training.recipe import Recipe

KINDS: dict[str, type[BaseModel]] = {"train": Recipe, "finetune": FinetuneRecipe}
"""Command -> kind of recipe it reads."""


class Range(Section):
    """Where one key's value is looked for: between two numbers, or among choices."""

    low: int | float | None = Field(None, description="smallest value")
    high: int | float | None = Field(None, description="largest value")
    step: int | float | None = Field(None, gt=0, description="distance between two values")
    log: bool = Field(False, description="draw the magnitude, for rates")
    choices: tuple[Any, ...] = Field((), description="values to choose from, instead of a range")

    @model_validator(mode="after")
    def _one_of_two(self) -> "Range":
        between = self.low is not None and self.high is not None
        if between == bool(self.choices) or (self.choices and self.step):
            raise ValueError("a range of the space has either low and high, or choices")
        if self.low is not None and self.high is not None:
            if self.low > self.high:
                raise ValueError(f"a range of the space goes from {self.low} down to {self.high}")
            if self.log and (self.low <= 0 or self.step):
                raise ValueError("a range with log: true starts above 0 and has no step")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values to try the recipe with before anything is trained."""
        return self.choices or (self.low, self.high)


class SweepRecipe(Section):
    """A search for the values of a recipe that do best over a budget."""

    name: str = Field(
        "sweep", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the search"
    )
    command: Literal["train", "finetune"] = Field("train", description="what a trial does")
    recipe: str | None = Field(
        None, description="its recipe, a file or a name; the command's default if there is none"
    )
    set: dict[str, Any] = Field(
        default_factory=dict, description="keys of that recipe, dotted, that all trials share"
    )
    space: dict[str, Range] = Field(
        min_length=1,
        description="keys of that recipe, dotted, and where their values are looked for",
    )
    metric: str = Field(
        "loss",
        description="what is to be best: loss (on held-out text where there is some), or a metric "
        "that finetune measures on held-out rows",
    )
    direction: Literal["minimize", "maximize"] = Field("minimize", description="what best means")
    trials: int = Field(20, ge=1, description="budget: trials, pruned and failed ones included")
    minutes: float | None = Field(
        None, gt=0, description="budget: minutes after which no trial is begun"
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        "median", description="how bad trials are ended early, by their loss while they train"
    )
    seed: int = Field(0, ge=0, description="seed of the values that are drawn")

    @field_validator("set")
    @classmethod
    def _dotted(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Sections are taken apart, so that `--set set.section.key=value` changes one key."""
        return dict(_flat(values))


def _flat(values: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{section}{name}.")
        else:
            yield f"{section}{name}", value
