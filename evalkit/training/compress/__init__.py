"""Makes checkpoints smaller: pruned, quantised to int8, or distilled into a small student.

`compress(CompressRecipe(parent=..., method="int8"), out)` saves a plain Hugging Face folder with
its pedigree, which the harness measures like any other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.training.compress.recipe import CompressRecipe

if TYPE_CHECKING:
    from evalkit.training.compress.compressing import compress

__all__ = ["CompressRecipe", "compress"]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use, so that reading a recipe does not."""
    if name == "compress":
        return import_module("evalkit.training.compress.compressing").compress
    raise AttributeError(f"module 'evalkit.training.compress' has no attribute {name!r}")
