"""The rules file of a gate, read with a line number in every complaint; and a template of one."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from evalkit.errors import UsageError
from evalkit.gating.config import Baseline, Defaults, GateConfig, Rule, Waiver

_MODELS: dict[str, type[BaseModel]] = {
    "rules": Rule,
    "defaults": Defaults,
    "baseline": Baseline,
    "waivers": Waiver,
}


# What pydantic says of these is about its own types.
_PLAIN = {
    "missing": "it is missing",
    "too_short": "it is empty; give one at least, or leave the key out",
    "string_too_short": "it is empty",
    "model_type": "it has to be a mapping of keys to values",
    "float_parsing": "it has to be a number",
    "tuple_type": "it has to be a list",
}


def load_config(path: str | Path) -> GateConfig:
    """Read a rules file.

    Raises:
        UsageError: It cannot be read, is no YAML, or says something a gate does not know; the
            message names the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The gate config {path} cannot be read ({error}); "
            "write one with 'evalkit gate --init'."
        ) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
        repeated = _repeated(node)
    except RecursionError:
        raise UsageError(f"{path}:1: not valid YAML: it is nested too deeply.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"{path}{line}: not valid YAML: {problem}.") from error
    if not isinstance(content, dict | None):
        raise UsageError(f"{path}:1: a gate config is a mapping with keys such as rules.")
    if repeated:
        raise UsageError(f"{path}:{repeated[1]}: the key {repeated[0]} is given twice.")
    if content in (None, {}, {"version": 1}):
        raise UsageError(f"{path}:1: it has no rules; write some with 'evalkit gate --init'.")
    try:
        return GateConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{path}:{_line(node, first['loc'])}"
        raise UsageError(f"{place}: {_complaint(first)}") from error


def rules_of(config: str | Path | GateConfig | None) -> GateConfig:
    """A config as it is, or from its file; None is one without rules.

    Raises:
        UsageError: As `load_config`.
    """
    if config is None:
        return GateConfig()
    return config if isinstance(config, GateConfig) else load_config(config)


def _line(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """Line of the deepest YAML node on the way to a location; 1 where there is none."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in location:
        below: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    line, below = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            below = node.value[step]
            line = below.start_mark.line + 1
        if below is None:
            break
        node = below
    return line


def _repeated(node: yaml.Node | None) -> tuple[str, int] | None:
    """The first key a mapping gives twice, of which YAML would keep the last, and its line."""
    if isinstance(node, yaml.SequenceNode):
        return next(filter(None, map(_repeated, node.value)), None)
    if not isinstance(node, yaml.MappingNode):
        return None
    known = set()
    for key, value in node.value:
        if key.value in known:
            return str(key.value), key.start_mark.line + 1
        known.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        if found := _repeated(value):
            return found
    return None


def _complaint(error: Any) -> str:
    location = error["loc"]
    where = ".".join(str(step + 1) if isinstance(step, int) else str(step) for step in location)
    if error["type"] == "extra_forbidden":
        model = _MODELS.get(str(location[0]), GateConfig) if len(location) > 1 else GateConfig
        known = list(model.model_fields)
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
        return f"unknown key {where}; {hint}"
    message = str(error["msg"]).removeprefix("Value error, ")
    plain = _PLAIN.get(error["type"], message)
    return f"{where}: {plain}."


TEMPLATE = """\
# Rules of `evalkit gate`. A rule fails only where the run is worse than the rule allows and the
# difference is significant; where the samples cannot tell, the verdict is inconclusive.
version: 1

# The run to compare with: a run id, a name, tag:KEY=VALUE, latest, tag:NAME of a baseline that
# 'evalkit baseline set' made, or such a file. --baseline overrides it.
baseline:
  select: tag:main
  # fallback: tag:role=baseline              # where select names nothing
  # require_same: [settings.dtype]           # manifest fields both have to share

defaults:
  alpha: 0.05             # chance of any false alarm of the whole gate
  correction: holm        # or benjamini-hochberg, none
  on_inconclusive: warn   # or fail (exit 5), pass
  on_missing: fail        # or warn, pass: what a rule names and a run lacks

rules:
  # Each task's primary metric: no loss at all. max_drop guards metrics where higher is better,
  # max_rise those where lower is.
  - task: "*"
    max_drop: 0
    max_rise: 0

  # One metric, with a margin in its own unit or as a share of the baseline's value:
  # - task: hellaswag
  #   metric: acc_norm
  #   max_drop: 0.01
  # - task: wikitext
  #   metric: word_perplexity
  #   max_rise: 2%

  # Fixed limits need no baseline:
  # - task: toxicity_*
  #   metric: rate
  #   max: 0.02

  # Timings: 'evalkit gate --model' takes them in turns with the baseline's checkpoint.
  # - task: latency
  #   metric: first_token_s
  #   max_rise: 10%
  #   repeats: 7

# Regressions that are let through for a while; after the day they fail again.
# waivers:
#   - rule: hellaswag
#     until: 2030-01-31
#     reason: new tokenizer, see the ticket
#     by: someone@example.org
"""
