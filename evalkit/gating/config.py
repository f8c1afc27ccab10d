"""What a gate's rules may say: typed and strict; `evalkit.gating.rules_file` reads them."""

from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

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
    if value is None or isinstance(value, dict | Margin):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is neither a number nor a percentage such as 2%")
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
        pooled: Whether the figure that a suite's file makes of its tasks is meant, instead of
            each task's own.
        repeats: How often a timing is taken by `evalkit gate --model`, in turns with the baseline's
            checkpoint.
    """

    task: str = Field(min_length=1)
    metric: str | None = Field(None, min_length=1)
    filter: str | None = Field(None, min_length=1)
    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)
    max_drop: MarginField = None
    max_rise: MarginField = None
    test: TestName = "auto"
    pooled: bool = False
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

    alpha: float = Field(0.05, gt=0, lt=0.5)
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

    @field_validator("rules")
    @classmethod
    def _said_once(cls, rules: tuple[Rule, ...] | None) -> tuple[Rule, ...] | None:
        given: dict[tuple[str | bool | None, ...], int] = {}
        for number, rule in enumerate(rules or (), 1):
            for limit in (name for name in LIMITS if getattr(rule, name) is not None):
                first = given.setdefault(
                    (rule.task, rule.pooled, rule.metric, rule.filter, limit), number
                )
                if first != number:
                    about = " ".join(filter(None, (rule.task, rule.metric, rule.filter)))
                    raise ValueError(f"rules {first} and {number} both give {limit} of {about}")
        return rules
