"""Makes the checkpoints that the harness measures, from a recipe.

`train(Recipe())` makes the micro-world's series: an early and a late checkpoint of a small decoder
that has read a generated world, in which known effects can be planted.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.training.recipe import Recipe, describe_recipe, load_recipe

if TYPE_CHECKING:
    from evalkit.training.checkpoint import TrainingManifest
    from evalkit.training.pretrain import train

__all__ = ["Recipe", "TrainingManifest", "describe_recipe", "load_recipe", "train"]

_HOMES = {
    "TrainingManifest": "evalkit.training.checkpoint",
    "train": "evalkit.training.pretrain",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use, so that reading a recipe does not."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evalkit.training' has no attribute {name!r}")
