"""Probes: tasks in Python, for what YAML cannot say."""

from collections.abc import Callable
from typing import Any

from evalkit.probes.base import Probe
from evalkit.probes.bbq import Bbq
from evalkit.probes.contamination import MicroContamination
from evalkit.probes.coreference_bias import CoreferenceBias, MicroCoreferenceBias
from evalkit.probes.degenerate import Degenerate
from evalkit.probes.factuality import Factuality, MicroFactuality
from evalkit.probes.latency import Latency
from evalkit.probes.option_order import OptionOrder
from evalkit.probes.options import ProbeOptions
from evalkit.probes.pronoun_bias import PronounBias
from evalkit.probes.robust import Robust
from evalkit.probes.toxicity import MicroToxicity, Toxicity

PROBES: dict[str, type[Probe]] = {
    probe.name: probe
    for probe in (
        Latency,
        PronounBias,
        CoreferenceBias,
        MicroCoreferenceBias,
        Toxicity,
        MicroToxicity,
        Factuality,
        MicroFactuality,
        MicroContamination,
    )
}

WRAPPERS: dict[str, Callable[[Any], Probe]] = {
    wrapper.prefix: wrapper for wrapper in (Robust, Degenerate, OptionOrder, Bbq)
}
"""Prefix -> probe made of another task: `robust/TASK` asks TASK under small changes."""

__all__ = [
    "PROBES",
    "WRAPPERS",
    "Factuality",
    "Latency",
    "MicroContamination",
    "MicroFactuality",
    "MicroToxicity",
    "Probe",
    "ProbeOptions",
    "PronounBias",
    "Toxicity",
]
