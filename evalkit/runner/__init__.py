"""plan -> respond -> score -> write: the one path every run takes."""

from evalkit.runner.plan import Plan, make_plan
from evalkit.runner.run import RunResult, execute, run
from evalkit.runner.settings import RunSettings, describe

__all__ = ["Plan", "RunResult", "RunSettings", "describe", "execute", "make_plan", "run"]
