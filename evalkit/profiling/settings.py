"""What `evalkit profile` can be asked."""

from pydantic import Field, field_validator

from evalkit.settings import RunSettings

LIMITED = ("first_token_s", "time_per_output_token_s", "end_to_end_s")


class ProfileSettings(RunSettings):
    """The settings of a profile; those of a run that it does not need keep their defaults."""

    model: str = Field(
        min_length=1,
        description="Checkpoint folder, org/name of a model in the mirror, or address of an "
        "endpoint.",
    )
    tasks: list[str] = Field(["profile"], frozen=True)
    batch_sizes: list[int] = Field(
        [1, 4, 16],
        min_length=1,
        description="Requests side by side, or under way at an endpoint; several, with commas.",
    )
    rates: list[float] = Field(
        default_factory=list,
        description="Requests a second, sent to an endpoint at random (Poisson) moments; several, "
        "with commas.",
    )
    arrivals: int = Field(
        20, ge=2, le=100_000, description="Requests of a batch that is sent at a rate."
    )
    prompt_tokens: list[int] = Field(
        [32, 256, 1024], min_length=1, description="Lengths of prompts; several, with commas."
    )
    new_tokens: int = Field(64, ge=2, le=2**20, description="Tokens to generate for each request.")
    repeats: int = Field(
        8, ge=2, le=10_000, description="Batches of each setting that are timed, after one warm-up."
    )
    goodput: dict[str, float] = Field(
        default_factory=dict,
        description="Limit that a request has to keep to count as good, such as first_token_s=0.2; "
        f"of {', '.join(LIMITED)}.",
    )

    @field_validator("batch_sizes", "prompt_tokens", "rates", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("batch_sizes", "prompt_tokens")
    @classmethod
    def _positive(cls, value: list[int]) -> list[int]:
        if min(value) < 1 or max(value) > 2**20:
            raise ValueError("take whole numbers from 1 to 1,048,576")
        return sorted(set(value))

    @field_validator("rates")
    @classmethod
    def _above_nothing(cls, value: list[float]) -> list[float]:
        if any(not 0 < rate <= 1e6 for rate in value):
            raise ValueError("take numbers above 0")
        return sorted(set(value))

    @field_validator("goodput")
    @classmethod
    def _limits(cls, value: dict[str, float]) -> dict[str, float]:
        if unknown := set(value) - set(LIMITED):
            raise ValueError(f"there is no {min(unknown)}; limit {', '.join(LIMITED)}")
        if any(not 0 < limit < float("inf") for limit in value.values()):
            raise ValueError("take seconds above 0")
        return value
