"""Adapts a checkpoint: answers, preferences, rewards, labels; all of its weights, or an adapter.

`finetune(FinetuneRecipe(parent=..., method="sft"), out)` trains by trl or transformers, saves a
plain Hugging Face folder with its pedigree, and measures it and its parent on held-out rows.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.training.adapt.recipe import FinetuneRecipe

if TYPE_CHECKING:
    from evalkit.training.adapt.finetuning import finetune

__all__ = ["FinetuneRecipe", "finetune"]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use, so that reading a recipe does not."""
    if name == "finetune":
        return import_module("evalkit.training.adapt.finetuning").finetune
    raise AttributeError(f"module 'evalkit.training.adapt' has no attribute {name!r}")
