"""Probes: tasks in Python, for what YAML cannot say."""

from collections.abc import Callable

from evalkit.probes.base import Probe
from evalkit.probes.latency import Latency
from evalkit.probes.pronoun_bias import PronounBias

PROBES: dict[str, Callable[[], Probe]] = {"latency": Latency, "pronoun_bias": PronounBias}

__all__ = ["PROBES", "Latency", "Probe", "PronounBias"]
