"""The folder of a series: claimed for a new training, or gone on with where it was left."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evalkit.errors import UsageError
from evalkit.training.data import TrainingData
from evalkit.training.manifest import read_manifest
from evalkit.training.recipe import Recipe, load_recipe
from evalkit.training.text import CORPUS_FOLDER

RECIPE_NAME = "recipe.yaml"
STATE = "training_state"
"""Folder in a checkpoint with what only a resume needs: optimiser, schedule, random streams."""
_MAY_CHANGE = {"saving", "watch"}
"""Sections that no weight depends on."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a training begins.

    Attributes:
        checkpoint: The one to go on from; None for random weights.
        step: Its step.
        is_finished: Whether nothing is left to do.
        is_new: Whether the folder was claimed just now.
    """

    checkpoint: Path | None = None
    step: int = 0
    is_finished: bool = False
    is_new: bool = False


def checkpoints(out: Path) -> list[Path]:
    """The checkpoint folders of a series, early to late."""
    return sorted(out.glob("step-*"), key=step_of)


def step_of(folder: Path) -> int:
    """The step after which a checkpoint was saved."""
    return int(folder.name.removeprefix("step-"))


def open_folder(out: Path, recipe: Recipe, *, resume: bool) -> Start:
    """Claim the folder, or find where to go on.

    Args:
        out: Folder of the series.
        recipe: What is to be trained.
        resume: Go on with what is there, if anything is.

    Raises:
        UsageError: It holds something else, was trained by another recipe, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
        found = {path.name for path in out.iterdir()} - {CORPUS_FOLDER}
        if resume and RECIPE_NAME in found:
            return _go_on(out, recipe)
        if found:
            raise UsageError(
                f"{out} already holds files; choose another folder with --out, delete it first, "
                "or go on with a training that was cut short by --resume."
            )
        text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, width=100)
        (out / RECIPE_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write to {out}: {error.strerror}.") from None
    return Start(is_new=True)


def precision_so_far(out: Path) -> str | None:
    """The precision that the newest checkpoint of a series was computed in, if it is known."""
    found = checkpoints(out)
    manifest = read_manifest(found[-1]) if found else None
    return manifest.hardware.get("precision") if manifest else None


@contextmanager
def freed_on_failure(out: Path, start: Start) -> Iterator[None]:
    """A block before the first step; where it fails, a folder just claimed can be claimed again.

    A corpus that was made in it stays.
    """
    try:
        yield
    except BaseException:
        if start.is_new:
            (out / RECIPE_NAME).unlink(missing_ok=True)
            with suppress(OSError):  # it is not empty
                out.rmdir()
        raise


def check_same_text(start: Start, data: TrainingData) -> None:
    """Raise where the corpus or its tokenizer is another than the checkpoint learnt from.

    Raises:
        UsageError: It is.
    """
    if start.checkpoint is None:
        return
    from evalkit.training.checkpoint import tokenizer_hash

    manifest = read_manifest(start.checkpoint)
    known = manifest and manifest.corpus and (manifest.corpus.sha256, manifest.tokenizer_sha256)
    if known != (data.record.sha256, tokenizer_hash(data.tokenizer)):
        raise UsageError(
            f"The corpus or its tokenizer is not the one that {start.checkpoint} learnt from; "
            "bring that one back, or train into another folder."
        )


def _go_on(out: Path, recipe: Recipe) -> Start:
    _check_same_recipe(out, recipe)
    for leftover in (*out.glob(".*.unfinished"), *out.glob(".*.removed")):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    found = checkpoints(out)
    if not found:
        return Start()
    newest = found[-1]
    if step_of(newest) >= recipe.pretraining.steps:
        return Start(newest, step_of(newest), is_finished=True)
    if not (newest / STATE).is_dir():
        raise UsageError(
            f"{newest} has no folder {STATE}, without which there is no going on from it; "
            "train into another folder."
        )
    return Start(newest, step_of(newest))


def _check_same_recipe(out: Path, recipe: Recipe) -> None:
    kept = load_recipe(out / RECIPE_NAME).model_dump(mode="json", exclude=_MAY_CHANGE)
    now = recipe.model_dump(mode="json", exclude=_MAY_CHANGE)
    for key, before, wanted in _differences(kept, now):
        raise UsageError(
            f"{out} is trained with {key} = {before}, and the recipe now says {wanted}; resume "
            "with the same recipe, or train into another folder."
        )


def _differences(a: Any, b: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for name in [*a, *(name for name in b if name not in a)]:
            inner = f"{key}.{name}" if key else str(name)
            yield from _differences(a.get(name), b.get(name), inner)
    elif a != b:
        yield key, a, b
