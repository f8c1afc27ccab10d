"""Makes a smaller checkpoint of a checkpoint, as a recipe says."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalkit.engine.checkpoint import ONNX_WEIGHTS
from evalkit.engine.loading import load_model
from evalkit.training.adapt.parent import Parent, load_causal, open_parent
from evalkit.training.compress.recipe import CompressRecipe
from evalkit.training.derived import DerivedManifest, claim, derive, record

_STAGES = {
    "prune": "pruning",
    "int8": "quantisation",
    "int4": "quantisation",
    "bf16": "rounding",
    "onnx": "export",
    "distil": "distillation",
}
_LIBRARIES = {"int8": ("torchao",), "int4": ("torchao",), "onnx": ("onnx", "onnxscript")}


def compress(recipe: CompressRecipe, out: Path, *, progress: bool = True) -> DerivedManifest:
    """Prune, quantise, round, export or distil a checkpoint.

    Args:
        recipe: What to do.
        out: Folder of the new checkpoint; must not exist yet, or be empty.
        progress: Show a progress bar on stderr where it takes long.

    Returns:
        The new checkpoint's manifest; `measured` has what it is made of and its size in bytes.

    Raises:
        UsageError: The folder is in use, or the recipe asks the impossible of this parent.
        DataError: The parent or the text cannot be used.
        EvaluationError: The loss of distilling became infinite or undefined.
    """
    claim(out)
    parent = open_parent(recipe.parent)
    started = time.perf_counter(), time.process_time()
    model, measured, fields = _MAKERS[recipe.method](parent, recipe, progress)
    spent = {
        "wall_s": round(time.perf_counter() - started[0], 3),
        "cpu_s": round(time.process_time() - started[1], 3),
    }
    known = {"step": 0, "tokens_seen": 0} | spent | fields
    manifest = derive(
        recipe,
        model,
        parent.tokenizer,
        parent.path,
        out,
        uses=_LIBRARIES.get(recipe.method, ()),
        measured=measured,
        name=recipe.name,
        stage=_STAGES[recipe.method],
        **known,
    )
    manifest.measured |= {"bytes": _weight_bytes(out), "parent_bytes": _weight_bytes(parent.path)}
    record(out, manifest)
    return manifest


_Made = tuple[Any, dict[str, float], dict[str, Any]]
"""The model, what was measured of it, and further fields of the manifest."""


def _prune(parent: Parent, recipe: CompressRecipe, progress: bool) -> _Made:
    from evalkit.training.compress.prune import prune_weights

    model = load_causal(parent)
    return model, prune_weights(model, recipe.prune), {}


def _int8(parent: Parent, recipe: CompressRecipe, progress: bool) -> _Made:
    from evalkit.training.compress.int8 import quantise

    return *quantise(parent, recipe.int8), {}


def _int4(parent: Parent, recipe: CompressRecipe, progress: bool) -> _Made:
    from evalkit.training.compress.int4 import quantise

    return *quantise(parent, recipe.int4), {}


def _bf16(parent: Parent, recipe: CompressRecipe, progress: bool) -> _Made:
    return load_causal(parent).bfloat16(), {}, {}


def _onnx(parent: Parent, recipe: CompressRecipe, progress: bool) -> _Made:
    from evalkit.engine.onnx.export import OnnxExport

    return OnnxExport(load_model(parent.checkpoint, parent.tokenizer, device="cpu")), {}, {}


def _distil(parent: Parent, recipe: CompressRecipe, progress: bool) -> _Made:
    from evalkit.training.compress.distil import distil

    student, fields = distil(parent, recipe.distil, recipe.name, progress=progress)
    return student, {"size": student.num_parameters() / parent.checkpoint.parameters}, fields


_MAKERS: dict[str, Callable[[Parent, CompressRecipe, bool], _Made]] = {
    "prune": _prune,
    "int8": _int8,
    "int4": _int4,
    "bf16": _bf16,
    "onnx": _onnx,
    "distil": _distil,
}


def _weight_bytes(folder: Path) -> float:
    kinds = ("*.safetensors", f"{ONNX_WEIGHTS}*")
    return float(sum(file.stat().st_size for kind in kinds for file in folder.glob(kind)))
