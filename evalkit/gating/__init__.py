"""The gate: rules over a comparison, verdicts, and reports for CI and people."""

from evalkit.gating.config import Baseline, Defaults, GateConfig, Rule, Waiver
from evalkit.gating.gate import gate, unfinished
from evalkit.gating.model import gate_model
from evalkit.gating.report import annotate, junit, markdown, write_reports
from evalkit.gating.rules_file import TEMPLATE, load_config
from evalkit.gating.verdict import Check, GateResult, Verdict

__all__ = [
    "TEMPLATE",
    "Baseline",
    "Check",
    "Defaults",
    "GateConfig",
    "GateResult",
    "Rule",
    "Verdict",
    "Waiver",
    "annotate",
    "gate",
    "gate_model",
    "junit",
    "load_config",
    "markdown",
    "unfinished",
    "write_reports",
]
