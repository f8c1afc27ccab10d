"""Finds, checks, describes and loads tasks: evalkit's own, lm-eval's, include paths and probes."""

from evalkit.registry.families import Family, families
from evalkit.registry.index import Entry
from evalkit.registry.registry import Leaf, Registry, Selection
from evalkit.registry.task import Task
from evalkit.registry.trust import Trust

__all__ = ["Entry", "Family", "Leaf", "Registry", "Selection", "Task", "Trust", "families"]
