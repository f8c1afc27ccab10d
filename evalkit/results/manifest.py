"""The manifest of a run, `run.json`: everything that could change a figure."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from evalkit.results.schema import SCHEMA_VERSION


class ModelRecord(BaseModel):
    """The checkpoint that was measured.

    Attributes:
        name: Name shown to people.
        path: Where it was read from.
        weights_hash: SHA-256 over the weight files and configurations, first 16 hex digits.
        tokenizer_hash: The same over the tokenizer files.
        architecture: Class named in config.json.
        parameters: Number of weights.
        training: The checkpoint's own `evalkit.json`, where evalkit trained it.
    """

    name: str
    path: str
    weights_hash: str
    tokenizer_hash: str
    architecture: str | None = None
    parameters: int | None = None
    training: dict[str, Any] | None = None


class TaskRecord(BaseModel):
    """One task as it was run.

    Attributes:
        config_hash: Hash of the task's resolved definition.
        data_hash: Hash over the hashes of the documents, in order.
        prompts_hash: Hash over the hashes of the documents' requests, decoding included.
        request_kind: Of the documents' first requests, by lm-eval's name.
        licence: Under which its data may be used, where that is known.
        details: What else its figures depend on, such as the hash of a detector.
    """

    family: str
    version: str | None = None
    config_hash: str
    data_hash: str
    prompts_hash: str | None = None
    num_fewshot: int = 0
    request_kind: str | None = None
    documents: int
    requests: int
    source: str | None = None
    licence: str | None = None
    details: dict[str, str] = Field(default_factory=dict)


class Manifest(BaseModel):
    """A run: one checkpoint through some tasks with fixed settings.

    Attributes:
        created: UTC time of the start, ISO 8601.
        duration_s: Seconds from start to the last score, those between processes left out.
        settings: Every option that was in force, by its CLI name.
        suites: Suite name -> names of its tasks, as resolved for this run.
        environment: Versions of libraries, hardware, platform, git commit.
        answered_by: What the responses depend on besides the requests: hashes of weights and
            tokenizer, dtype, device, versions of the libraries that compute.
        resumed: UTC times at which the run was gone on with after it had been stopped.
        reused: Run id -> number of responses that were taken from that run.
    """

    model_config = ConfigDict(extra="ignore")

    schema_version: int = SCHEMA_VERSION
    run_id: str
    name: str
    created: str
    duration_s: float
    tags: dict[str, str] = Field(default_factory=dict)
    model: ModelRecord
    tasks: dict[str, TaskRecord]
    suites: dict[str, list[str]] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    answered_by: dict[str, str] = Field(default_factory=dict)
    resumed: list[str] = Field(default_factory=list)
    reused: dict[str, int] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
