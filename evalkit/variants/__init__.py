"""What compression costs: a checkpoint and its variants, measured side by side.

`compare_variants("checkpoints/micro/step-001500", make=["int8"], tasks="demo")` makes each variant,
takes its time in turns with the original's, evaluates it on the same tasks and judges the loss.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.variants.settings import VariantSettings
from evalkit.variants.variant import VARIANTS, Variant

if TYPE_CHECKING:
    from evalkit.variants.comparing import compare_variants

__all__ = ["VARIANTS", "Variant", "VariantSettings", "compare_variants"]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use, so that reading the settings does not."""
    if name == "compare_variants":
        return import_module("evalkit.variants.comparing").compare_variants
    raise AttributeError(f"module 'evalkit.variants' has no attribute {name!r}")
