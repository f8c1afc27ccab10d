"""The rules file of a gate: typed, strict, and with a line number in every complaint."""

import difflib
from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from evalkit.errors import UsageError
from evalkit.stats import TestName


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Margin(_Strict):
    """How much worse is still allowed: a number in the metric's unit, or a share of the baseline.

    Attributes:
        amount: Not negative.
        relative: Whether the amount is a share of the baseline's value.
    """

    amount: float = Field(ge=0, allow_inf_nan=False)
    relative: bool = False

    def of(self, baseline: float) -> float:
        """The margin in the metric's own unit."""
        return self.amount * abs(baseline) if self.relative else self.amount

    def __str__(self) -> str:
        return f"{self.amount * 100:g}%" if self.relative else f"{self.amount:g}"


def _read_margin(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    text = str(value).strip()
    try:
        amount = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{value!r} is neither a number nor a percentage such as 2%") from None
    if not 0 <= amount < float("inf"):
        raise ValueError(f"{value!r} has to be 0 or more")
    relative = text.endswith("%")
    return {"amount": amount / 100 if relative else amount, "relative": relative}


MarginField = Annotated[Margin | None, BeforeValidator(_read_margin)]
LIMITS = ("min", "max", "max_drop", "max_rise")


class Rule(_Strict):
    """What one metric of one task, or of all tasks that fit a glob, has to keep to.

    Attributes:
        task: Task, suite or glob.
        metric: Each task's primary metric by default.
        filter: The metric's usual filter by default.
        min: Least value.
        max: Largest value.
        max_drop: How far a metric may fall below the baseline; for metrics where lower is better
            a fall is no loss, so it does not apply to them.
        max_rise: How far a metric may rise above the baseline; not for metrics where higher is
            better.
        test: How a difference is tested; `auto` chooses by the metric.
        repeats: How often a timing is taken by `evalkit gate --model`, in turns with the baseline's
            checkpoint.
    """

    task: str
    metric: str | None = None
    filter: str | None = None
    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)
    max_drop: MarginField = None
    max_rise: MarginField = None
    test: TestName = "auto"
    repeats: int = Field(5, ge=3, le=100)

    @model_validator(mode="after")
    def _limited(self) -> "Rule":
        if all(getattr(self, limit) is None for limit in LIMITS):
            raise ValueError(f"a rule needs one of {', '.join(LIMITS)}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is larger than max")
        return self

    @property
    def paired(self) -> bool:
        """Whether the rule needs a baseline."""
        return self.max_drop is not None or self.max_rise is not None


class Baseline(_Strict):
    """The run to compare with.

    Attributes:
        select: Run id, name, `tag:KEY=VALUE`, `latest`, `tag:NAME` of a baseline, or its file.
        fallback: The same, for when `select` names no run.
        require_same: Fields of the manifest, such as `settings.dtype` or `environment.hardware`,
            that run and baseline have to share.
    """

    select: str
    fallback: str | None = None
    require_same: tuple[str, ...] = ()


class Waiver(_Strict):
    """A regression that is let through for a while.

    Attributes:
        rule: Task or glob, or both task and metric with a space between, that it covers.
        until: Last day it holds.
        reason: Why.
        by: Who answers for it.
    """

    rule: str = Field(min_length=1)
    until: date
    reason: str = Field(min_length=1)
    by: str = Field(min_length=1)

    def covers(self, task: str, metric: str) -> bool:
        """Whether it is meant for a figure."""
        return fnmatchcase(task, self.rule) or fnmatchcase(f"{task} {metric}", self.rule)


class Defaults(_Strict):
    """What holds for all rules.

    Attributes:
        alpha: Chance of a false alarm of the whole gate.
        correction: How the rules share `alpha`.
        on_inconclusive: What follows where the data cannot tell.
        on_missing: What follows where a rule names something the run or the baseline lacks.
    """

    alpha: float = Field(0.05, gt=0, lt=1)
    correction: Literal["holm", "benjamini-hochberg", "none"] = "holm"
    on_inconclusive: Literal["warn", "fail", "pass"] = "warn"
    on_missing: Literal["fail", "warn", "pass"] = "fail"


class GateConfig(_Strict):
    """A rules file.

    Attributes:
        version: Of the file's format.
        baseline: The run to compare with, unless the command names one.
        rules: None means each task's primary metric may not get worse.
        waivers: Regressions that are let through for a while.
    """

    version: Literal[1] = 1
    baseline: Baseline | None = None
    defaults: Defaults = Defaults()
    rules: tuple[Rule, ...] | None = Field(None, min_length=1)
    waivers: tuple[Waiver, ...] = ()

    @field_validator("baseline", mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"select": value} if isinstance(value, str) else value


_MODELS: dict[str, type[BaseModel]] = {
    "rules": Rule,
    "defaults": Defaults,
    "baseline": Baseline,
    "waivers": Waiver,
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
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"{path}{line}: not valid YAML: {problem}.") from error
    try:
        return GateConfig.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{path}:{_line(node, first['loc'])}"
        raise UsageError(f"{place}: {_complaint(first)}") from error


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
    return f"{where}: {message}." if where else f"{message}."


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
