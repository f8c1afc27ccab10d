"""Latency, throughput, memory and energy of a checkpoint on this machine.

`profile("checkpoints/micro/step-001500", batch_sizes=[1, 4])` keeps what it finds in the store.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit.profiling.settings import ProfileSettings

if TYPE_CHECKING:
    from evalkit.profiling.measure import profile

__all__ = ["ProfileSettings", "profile"]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use, so that reading the settings does not."""
    if name == "profile":
        return import_module("evalkit.profiling.measure").profile
    raise AttributeError(f"module 'evalkit.profiling' has no attribute {name!r}")
