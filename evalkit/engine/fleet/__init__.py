"""Many workers on a Ray cluster, asked like the one engine in this process.

The public names load on first use: a worker's process imports this package before it needs torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.engine.fleet.engine import FleetEngine, start_fleet
    from evalkit.engine.fleet.job import LostError
    from evalkit.engine.fleet.scheduler import Fleet

__all__ = ["Fleet", "FleetEngine", "LostError", "start_fleet"]

_HOMES = {
    "Fleet": "scheduler",
    "FleetEngine": "engine",
    "LostError": "job",
    "start_fleet": "engine",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"evalkit.engine.fleet.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'evalkit.engine.fleet' has no attribute {name!r}")
