"""The settings of a run: one typed model, from which the CLI takes its help."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from evalkit.errors import UsageError

OF_RAY = ("address", "workers", "device_per_worker")
"""Settings that mean something with `engine: ray` only."""


class RunSettings(BaseModel):
    """Everything a user can choose about a run; each field is the CLI option of its name."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str = Field(
        description="Checkpoint folder, glob of them, org/name in the mirror, or openai:URL#MODEL."
    )
    tasks: list[str] = Field(
        min_length=1, description="Task names, globs, suites or YAML files; commas or spaces."
    )
    num_fewshot: int | None = Field(
        None, ge=0, description="Examples before each question; by default the task's own number."
    )
    fewshot_seeding: Literal["document", "lm-eval"] = Field(
        "document", description="Draw examples from a seed for each document, or as lm-eval does."
    )
    limit: int | None = Field(
        None, gt=0, le=2**31, description="Only the first N documents of each task."
    )
    batch_size: Annotated[int, Field(gt=0)] | Literal["auto"] | None = Field(
        None, description="Most requests in one forward pass; 'auto' measures what is quickest."
    )
    concurrency: int = Field(
        8, gt=0, le=4096, description="Most requests under way at a time, at an endpoint."
    )
    requests_per_minute: float | None = Field(
        None, gt=0, description="Most requests sent to an endpoint a minute, repeated ones too."
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="What computes: this process, or workers on a Ray cluster."
    )
    address: str | None = Field(
        None, description="Ray's HOST:PORT or auto; by default RAY_ADDRESS, or this machine."
    )
    workers: int | None = Field(
        None, gt=0, le=10_000, description="Ray workers; by default as many as have room."
    )
    device_per_worker: str = Field(
        "auto", description="Of a Ray worker: cpu, cpu:CORES, cuda, cuda:SHARE, or auto."
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1, mps, or auto.")
    dtype: str = Field("float32", description="float32, bfloat16, float16, or auto.")
    compile: bool = Field(
        False, description="Have torch.compile make the forward pass; takes minutes on loading."
    )
    seed: int = Field(0, ge=0, description="Seed of few-shot draws, sampling and resampling.")
    mirror: Path | None = Field(
        None, description="Folder in the hub's layout to read data sets and models from."
    )
    include_path: list[Path] = Field(
        default_factory=list, description="Folder of further task YAML files; may be repeated."
    )
    trust_remote_code: list[Path] = Field(
        default_factory=list, description="Checkpoint folder whose own Python code may run."
    )
    trust_functions: list[Path] = Field(
        default_factory=list,
        description="Task file or folder whose !function tags may run; may be repeated.",
    )
    trust_code_execution: list[Path] = Field(
        default_factory=list,
        description="Task file or folder that may run code the model wrote; may be repeated.",
    )
    detector_path: Path | None = Field(
        None, description="Folder of a toxicity detector; by default Detoxify's released weights."
    )
    detector_sensitivity: str | None = Field(
        None, description="Share of toxic texts the detector finds: 0.9, or 90/100 if counted."
    )
    detector_specificity: str | None = Field(
        None, description="Share of harmless texts it leaves alone: 0.9, or 90/100 if counted."
    )
    toxicity_prompts: Path | None = Field(
        None, description="Prompts for the toxicity probe, in RealToxicityPrompts' JSON lines."
    )
    continuations: int = Field(
        10, gt=0, le=1000, description="Texts made for each prompt of the toxicity probes."
    )
    store: str = Field("reports", description="Folder or URL that holds the runs.")
    name: str | None = Field(None, description="Name of the run; by default the checkpoint's.")
    tags: dict[str, str] = Field(
        default_factory=dict, description="KEY=VALUE to find the run by; may be repeated."
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        return [
            name
            for part in map(str, parts)
            for name in ([part] if Path(part).is_file() else part.replace(",", " ").split())
        ]

    @field_validator(
        "include_path",
        "trust_remote_code",
        "trust_functions",
        "trust_code_execution",
        mode="before",
    )
    @classmethod
    def _listed(cls, value: object) -> object:
        return [value] if isinstance(value, str | Path) else value

    @field_validator(*OF_RAY)
    @classmethod
    def _of_ray(cls, value: object, info: ValidationInfo) -> object:
        default = cls.model_fields[str(info.field_name)].default
        if value != default and info.data.get("engine") == "local":
            raise ValueError("it says something of a Ray cluster; add --engine ray")
        return value

    @field_validator("device_per_worker")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu(:[1-9]\d{0,4})?|cuda(:([1-9]\d{0,2}|0\.\d*[1-9]))?", value):
            raise ValueError("take cpu, cpu:CORES, cuda, cuda:SHARE or auto")
        return value

    @classmethod
    def checked(cls, **values: object) -> Self:
        """Settings from plain values.

        Raises:
            UsageError: A value is out of range or of the wrong kind.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            option = "--" + str(first["loc"][0]).replace("_", "-")
            told = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"{option} {first['input']!r}: {told}.") from error


def describe(field: str, settings: type[RunSettings] = RunSettings) -> str:
    """One-line help of a setting."""
    return str(settings.model_fields[field].description)
