"""plan -> respond -> score -> write: the one path every run takes."""

from evalkit.runner.many import Failed, Measured, execute_many, find_models, is_pattern, plan_many
from evalkit.runner.plan import Plan, make_plan
from evalkit.runner.resume import settings_to_resume
from evalkit.runner.run import RunResult, execute, run

__all__ = [
    "Failed",
    "Measured",
    "Plan",
    "RunResult",
    "execute",
    "execute_many",
    "find_models",
    "is_pattern",
    "make_plan",
    "plan_many",
    "run",
    "settings_to_resume",
]
