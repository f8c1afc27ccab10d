"""What `evalkit variants` can be asked."""

from difflib import get_close_matches
from pathlib import Path

from pydantic import Field, field_validator

from evalkit.profiling.settings import ProfileSettings
from evalkit.settings import RunSettings, describe
from evalkit.variants.variant import VARIANTS

SUITE = "demo"


class VariantSettings(ProfileSettings):
    """The settings of a comparison of variants: those of its runs and profiles, and its own."""

    tasks: list[str] = Field(
        [SUITE],
        min_length=1,
        description=describe("tasks"),
    )
    make: list[str] = Field(
        list(VARIANTS),
        min_length=1,
        description=f"Variants, with commas: {', '.join(VARIANTS)}.",
    )
    out: Path | None = Field(
        None, description="Folder of the variants; by default checkpoints/NAME-variants."
    )
    margin: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Loss that still counts as none: of a share; of other metrics, such as "
        "perplexities, so much of the original's value.",
    )
    batch_sizes: list[int] = Field(
        [1, 4], min_length=1, description="Requests side by side; several, with commas."
    )
    prompt_tokens: list[int] = Field(
        [32], min_length=1, description="Lengths of prompts; several, with commas."
    )

    @field_validator("make", mode="before")
    @classmethod
    def _listed_names(cls, value: object) -> object:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("make")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in VARIANTS:
                near = get_close_matches(name, VARIANTS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"take of {', '.join(VARIANTS)}"
                raise ValueError(f"there is no variant {name!r}; {hint}")
        return list(dict.fromkeys(value))

    def of_run(self) -> dict[str, object]:
        """Those of them that a run has."""
        return self.model_dump(include=set(RunSettings.model_fields))

    def of_profile(self) -> dict[str, object]:
        """Those of them that a profile has."""
        return self.model_dump(include=set(ProfileSettings.model_fields), exclude={"tasks"})
