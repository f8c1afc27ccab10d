"""evalkit: evaluate the language models you train.

The public names load on first use, so that `import evalkit` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.gating import gate
    from evalkit.profiling import profile
    from evalkit.results import compare, load_samples, load_scores, load_timings
    from evalkit.runner import run

__version__ = "0.1.0"
__all__ = ["compare", "gate", "load_samples", "load_scores", "load_timings", "profile", "run"]

_HOMES = {
    "run": "evalkit.runner",
    "compare": "evalkit.results",
    "gate": "evalkit.gating",
    "profile": "evalkit.profiling",
    "load_scores": "evalkit.results",
    "load_samples": "evalkit.results",
    "load_timings": "evalkit.results",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
