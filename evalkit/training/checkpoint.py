"""Saves checkpoints: a Hugging Face folder with its pedigree, there whole or not at all."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar, enable_progress_bar

from evalkit import __version__
from evalkit.errors import UsageError
from evalkit.training.manifest import (
    MANIFEST_NAME,
    CorpusRecord,
    TrainingManifest,
    read_manifest,
    remember,
)

__all__ = [
    "MANIFEST_NAME",
    "CorpusRecord",
    "TrainingManifest",
    "hardware",
    "libraries",
    "make_manifest",
    "now",
    "save_checkpoint",
    "tokenizer_hash",
    "writing",
]
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")


def make_manifest(
    recipe: BaseModel,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    parent: Path | None = None,
    **fields: Any,
) -> TrainingManifest:
    """A manifest with everything that can be told from the model and the machine.

    Args:
        recipe: The recipe, of any kind.
        model: The model as it will be saved.
        tokenizer: Its tokenizer.
        parent: Checkpoint that training started from; its knobs and pedigree are taken over.
        fields: The other fields of `TrainingManifest`: at least name, step, tokens_seen, wall_s
            and cpu_s.
    """
    before = read_manifest(parent) if parent else None
    if before is not None:
        fields.setdefault("knobs", before.knobs)
    return TrainingManifest(
        **{
            "recipe": recipe.model_dump(mode="json"),
            "parent": str(parent) if parent else None,
            "ancestor": remember(parent) if parent else None,
            "parameters": model.num_parameters(),
            "tokenizer_sha256": tokenizer_hash(tokenizer),
            "created": now(),
            "libraries": libraries(),
            "hardware": hardware(model.device.type),
            **fields,
        }
    )


def libraries() -> dict[str, str]:
    """Versions of what the weights depend on."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"evalkit": __version__, "python": platform.python_version(), **versions}


def hardware(device: str = "cpu") -> dict[str, Any]:
    """The machine the weights were made on."""
    known: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "device": device,
    }
    if device == "cuda":
        known["accelerator"] = torch.cuda.get_device_name()
    return known


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
    *,
    state_dict: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write a checkpoint beside its place under another name, then rename it.

    Args:
        folder: Where it will be; must not exist.
        model: Saved as safetensors.
        tokenizer: Saved with it.
        manifest: Written as evalkit.json.
        state_dict: The weights, where the model holds only a shard of them.

    Raises:
        UsageError: The folder cannot be written; nothing of it is left.
    """
    with writing(folder) as unfinished:
        save_parts(unfinished, model, tokenizer, manifest, state_dict=state_dict)


def save_parts(
    unfinished: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    manifest: TrainingManifest,
    *,
    state_dict: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write weights, tokenizer and manifest into a folder that nobody reads yet."""
    disable_progress_bar()
    try:
        model.save_pretrained(unfinished, state_dict=state_dict)
    finally:
        enable_progress_bar()
    for weights in unfinished.glob("*.safetensors"):  # as readable as their folder
        weights.chmod((unfinished / "config.json").stat().st_mode)
    tokenizer.save_pretrained(unfinished)
    text = manifest.model_dump_json(indent=2) + "\n"
    (unfinished / MANIFEST_NAME).write_text(text, encoding="utf-8")


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes its name when the block ends well, and goes when it does not.

    Raises:
        UsageError: Something in the block could not be written.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        for file in unfinished.rglob("*"):
            _flush(file)
        unfinished.rename(folder)
        _flush(folder.parent)
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = _why_unwritten(error)
        if reason is None:
            raise
        raise UsageError(
            f"Cannot write the checkpoint {folder}: {reason}; those written before are kept."
        ) from None
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _flush(path: Path) -> None:
    """Have it on the disk itself, so that a power cut after the renaming finds it there."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _why_unwritten(error: Exception) -> str | None:
    """The system's reason; None where the error is of another kind."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = str(error)
    if "No space left" in text or "File too large" in text:
        return "No space left on device" if "No space" in text else "File too large"
    # torch.save tells of a failed write by this word alone.
    return (
        "the disk is full" if "PytorchStreamWriter" in text or "inline_container" in text else None
    )
