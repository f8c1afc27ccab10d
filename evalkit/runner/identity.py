"""What a response depends on besides its request."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.device import device_name, device_of
from evalkit.engine.endpoint import Endpoint
from evalkit.engine.fleet.worker import versions
from evalkit.errors import EvaluationError
from evalkit.runner.plan import Plan
from evalkit.types import digest

Mark = tuple[int, int, int]
"""Inode, bytes and time of the last change of a file, in nanoseconds."""


def answered_by(plan: Plan, device: str | None = None) -> dict[str, str]:
    """Name -> value of everything that could change a response; equal only if all of it is.

    Args:
        plan: What is answered.
        device: What computes, where it is not this process.

    Raises:
        UsageError: The device is not available, or onnxruntime is not installed for a model of it.
    """
    if isinstance(plan.checkpoint, Endpoint):
        return {"endpoint": plan.checkpoint.path, "evalkit": version("evalkit")}
    code = {"code_hash": _code_hash(plan.checkpoint)} if plan.checkpoint.trusts_code else {}
    computed = {"compile": "torch.compile"} if plan.settings.compile else {}
    if plan.checkpoint.is_onnx:
        from evalkit.engine.onnx.step import runtime

        computed["onnxruntime"] = runtime().__version__
    return {
        "weights_hash": plan.checkpoint.weights_hash,
        "tokenizer_hash": plan.checkpoint.tokenizer_hash,
        "dtype": plan.settings.dtype,
        "device": device or device_name(device_of(plan.checkpoint, plan.settings.device)),
        **versions(),
        **computed,
        **code,
    }


def file_marks(checkpoint: Checkpoint | Endpoint) -> dict[Path, Mark]:
    """Marks of the files that a checkpoint is loaded from, to be compared later."""
    if isinstance(checkpoint, Endpoint):
        return {}
    names = ("config.json", "tokenizer.json")
    files = [*checkpoint.weights, *(checkpoint.path / name for name in names)]
    return {file: mark for file in files if (mark := _mark(file)) is not None}


def refuse_changed(marks: dict[Path, Mark], *, in_place: bool = False) -> None:
    """Raise where a checkpoint's files are no longer those that were marked, and hashed.

    Args:
        marks: From before the files were hashed.
        in_place: Only files that were written over: loaded weights may still be read from them,
            while those of a file that was replaced or removed stay what they were.

    Raises:
        EvaluationError: A file has changed.
    """
    for file, before in marks.items():
        now = _mark(file)
        replaced = now is None or now[0] != before[0]
        if now != before and not (in_place and replaced):
            raise EvaluationError(
                f"{file} was changed while it was being measured, so no figure could be told to "
                "be of it; measure a checkpoint that is written to the end."
            )


def _mark(file: Path) -> Mark | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _code_hash(checkpoint: Checkpoint) -> str:
    files = sorted(checkpoint.path.rglob("*.py"))
    return digest(
        [
            (str(file.relative_to(checkpoint.path)), hashlib.sha256(file.read_bytes()).hexdigest())
            for file in files
        ]
    )
