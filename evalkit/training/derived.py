"""Checkpoints that were made from another one: what they record besides, and how they are saved."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar, enable_progress_bar

from evalkit.errors import UsageError
from evalkit.training.checkpoint import libraries, make_manifest, writing
from evalkit.training.manifest import MANIFEST_NAME, TrainingManifest


class Figure(BaseModel):
    """Something measured on rows that were held out.

    Attributes:
        metric: What was measured.
        value: Of this checkpoint.
        ci_low, ci_high: Its 95 % interval.
        n: Rows it was measured on.
        before: The parent's value on the same rows; for a classifier the share of the commonest
            label, for a reward model one half, which is what guessing reaches.
    """

    metric: str
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int
    before: float | None = None


class DerivedManifest(TrainingManifest):
    """`evalkit.json` of a checkpoint made from another.

    Attributes:
        held_out: What was measured on held-out rows.
        measured: What was measured of the weights: shares and bytes.
    """

    held_out: list[Figure] = Field(default_factory=list)
    measured: dict[str, float] = Field(default_factory=dict)


def claim(folder: Path) -> None:
    """Raise where the new checkpoint would overwrite something, or cannot be written.

    Raises:
        UsageError: It would, or cannot.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} already holds files; choose another folder with --out, or delete it first."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            folder.rmdir()
        trial = folder.with_name(f".{folder.name}.writable")
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UsageError(f"Cannot write to {folder}: {error.strerror}.") from None


def derive(
    recipe: BaseModel,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    parent: Path,
    folder: Path,
    *,
    uses: tuple[str, ...] = (),
    measured: dict[str, float] | None = None,
    **fields: Any,
) -> DerivedManifest:
    """Save a checkpoint, or an adapter, that was made from a parent.

    Args:
        recipe: What it was made by.
        model: A transformers model, or peft's around one.
        tokenizer: Saved with it.
        parent: Where it comes from.
        folder: Where it goes; see `claim`.
        uses: Libraries that the weights depend on, besides the usual ones.
        measured: What was measured of the weights.
        fields: The manifest's other fields; see `make_manifest`.

    Raises:
        UsageError: The folder cannot be written.
    """
    known = libraries() | {name: version(name) for name in uses}
    made = make_manifest(
        recipe, model, tokenizer, parent=parent.resolve(), libraries=known, **fields
    )
    manifest = DerivedManifest(**made.model_dump(), measured=measured or {})
    with writing(folder) as unfinished:
        disable_progress_bar()
        try:
            model.save_pretrained(unfinished)
        finally:
            enable_progress_bar()
        (unfinished / "README.md").unlink(missing_ok=True)  # peft's blank model card
        tokenizer.save_pretrained(unfinished)
        _write(unfinished, manifest)
        for weights in unfinished.glob(
            "*.safetensors"
        ):  # as readable as their folder's other files
            weights.chmod((unfinished / MANIFEST_NAME).stat().st_mode)
    return manifest


def record(folder: Path, manifest: DerivedManifest) -> None:
    """Write a checkpoint's manifest anew, whole or not at all."""
    unfinished = folder / f".{MANIFEST_NAME}.unfinished"
    _write(folder, manifest, unfinished.name)
    os.replace(unfinished, folder / MANIFEST_NAME)  # noqa: PTH105 - replaces what is there


def _write(folder: Path, manifest: DerivedManifest, name: str = MANIFEST_NAME) -> None:
    (folder / name).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
