"""Saves checkpoints: a Hugging Face folder with its pedigree, there whole or not at all."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar, enable_progress_bar

from evalkit import __version__
from evalkit.errors import UsageError
from evalkit.training.recipe import Recipe
from evalkit.training.world.knobs import Knobs

MANIFEST_NAME = "evalkit.json"
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")


class CorpusRecord(BaseModel):
    """The text that was learnt from.

    Attributes:
        sha256: Hash over the passages in order, each followed by a zero byte.
        passages: Kind -> number of passages.
        characters: Characters in all passages.
        tokens: Tokens, with one end-of-document token a passage.
    """

    sha256: str
    passages: dict[str, int]
    characters: int
    tokens: int


class TrainingManifest(BaseModel):
    """`evalkit.json`: how a checkpoint came to be.

    Attributes:
        parent: Checkpoint that training started from; None for random weights.
        step: Optimiser steps taken.
        tokens_seen: Tokens in those steps.
        loss: Mean training loss in nats a token, over about the last tenth of all steps.
        tokenizer_sha256: Hash of tokenizer.json.
        knobs: Effects planted in the corpus.
        wall_s, cpu_s: Seconds spent in training so far, on the clock and of all cores.
        created: UTC time of saving, ISO 8601.
    """

    model_config = ConfigDict(extra="ignore")

    schema_version: int = 1
    name: str
    recipe: Recipe
    parent: str | None = None
    step: int
    tokens_seen: int
    loss: float
    parameters: int
    corpus: CorpusRecord
    tokenizer_sha256: str
    knobs: Knobs
    wall_s: float
    cpu_s: float
    created: str
    libraries: dict[str, str]
    hardware: dict[str, Any]


def libraries() -> dict[str, str]:
    """Versions of what the weights depend on."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"evalkit": __version__, "python": platform.python_version(), **versions}


def hardware() -> dict[str, Any]:
    """The machine the weights were made on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "device": "cpu",
    }


def now() -> str:
    """UTC time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the tokenizer's definition."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def save_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    manifest: TrainingManifest,
) -> None:
    """Write a checkpoint beside its place under another name, then rename it.

    Raises:
        UsageError: The folder cannot be written.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        _save_weights(model, unfinished)
        tokenizer.save_pretrained(unfinished)
        text = manifest.model_dump_json(indent=2) + "\n"
        (unfinished / MANIFEST_NAME).write_text(text, encoding="utf-8")
        unfinished.rename(folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise UsageError(f"Cannot write the checkpoint {folder}: {error.strerror}.") from None


def _save_weights(model: PreTrainedModel, folder: Path) -> None:
    """Save the model without a progress bar of its own, readable by whoever may read the folder."""
    disable_progress_bar()
    try:
        model.save_pretrained(folder)
    finally:
        enable_progress_bar()
    for weights in folder.glob("*.safetensors"):
        weights.chmod((folder / "config.json").stat().st_mode)
