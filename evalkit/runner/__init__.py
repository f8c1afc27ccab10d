"""plan -> respond -> score -> write: the one path every run takes."""

from evalkit.runner.plan import Plan, make_plan
from evalkit.runner.resume import settings_to_resume
from evalkit.runner.run import RunResult, execute, run

__all__ = ["Plan", "RunResult", "execute", "make_plan", "run", "settings_to_resume"]
