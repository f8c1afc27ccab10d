"""Makes the checkpoints that the harness measures, from a recipe.

`train(Recipe())` makes the micro-world's series: an early and a late checkpoint of a small decoder
that has read a generated world, in which known effects can be planted. Other recipes train any
causal or masked model of transformers on text of your own.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.training.manifest import TrainingManifest, read_manifest
from evalkit.training.pedigree import describe_pedigree
from evalkit.training.recipe import Recipe, describe_recipe, load_recipe

if TYPE_CHECKING:
    from evalkit.training.checkpoint import make_manifest, save_checkpoint
    from evalkit.training.pretrain import train

__all__ = [
    "Recipe",
    "TrainingManifest",
    "describe_pedigree",
    "describe_recipe",
    "load_recipe",
    "make_manifest",
    "read_manifest",
    "save_checkpoint",
    "train",
]

# Read when torch is loaded: a thread that waits for another sleeps. One that spins takes the core
# from the other on a busy machine, where two threads are then several times slower than one.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOMES = {
    "make_manifest": "evalkit.training.checkpoint",
    "save_checkpoint": "evalkit.training.checkpoint",
    "train": "evalkit.training.pretrain",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use, so that reading a recipe does not."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evalkit.training' has no attribute {name!r}")
