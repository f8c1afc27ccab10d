"""Several checkpoints by one command: a run each, and with Ray one queue for all of them."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path

from evalkit.engine.checkpoint import ADAPTER_CONFIG
from evalkit.engine.fleet import Fleet, start_fleet
from evalkit.engine.model import open_model
from evalkit.errors import EvalkitError, StoppedError, UsageError
from evalkit.results import Manifest
from evalkit.runner.plan import Plan, check_room, make_plan
from evalkit.runner.respond import stopping
from evalkit.runner.resume import AUTO
from evalkit.runner.run import RunResult, execute
from evalkit.settings import RunSettings

_SPARE_RUNS = 2
"""Runs that are open beside those that have a worker, so that no worker waits for one."""
_LOOK_S = 0.5
_STOPPED = "Stopped; what was answered is kept: go on with the same command and --resume auto."


@dataclass(frozen=True)
class Failed:
    """A checkpoint that could not be measured, and why."""

    model: str
    error: EvalkitError


@dataclass(frozen=True)
class Measured:
    """A checkpoint that was left out, since the store has a run of it that is the same."""

    model: str
    run: Manifest


Outcome = RunResult | Failed | Measured


def is_pattern(model: str) -> bool:
    """Whether `--model` means several checkpoints."""
    return has_magic(model) and not Path(model).exists() and "://" not in model


def find_models(pattern: str) -> tuple[list[str], list[str]]:
    """The checkpoints that fit a glob, and what else fits it; numbers in names sort as numbers.

    Raises:
        UsageError: No checkpoint fits.
    """
    everywhere = glob(str(Path(pattern).expanduser()))  # noqa: PTH207 - it may be absolute
    found = sorted(everywhere, key=_natural)
    models = [path for path in found if _is_checkpoint(Path(path))]
    if not models:
        what = f"{len(found)} files or folders but no checkpoint" if found else "nothing"
        raise UsageError(
            f"--model {pattern!r} matches {what}; a checkpoint is a folder with config.json."
        )
    return models, [path for path in found if path not in models]


def plan_many(settings: RunSettings, models: Sequence[str]) -> list[Plan]:
    """A plan for each checkpoint; the tasks are loaded once.

    Args:
        settings: Of all runs.
        models: The checkpoints.

    Raises:
        UsageError: As `make_plan`; or a name is given, which can be of one run only.
        DataError: As `make_plan`.
    """
    if settings.name is not None:
        raise UsageError("--name is of one run; leave it out where --model names several.")
    first = make_plan(settings.model_copy(update={"model": models[0]}))
    return [first, *(plan_alike(first, model) for model in models[1:])]


def plan_alike(plan: Plan, model: str) -> Plan:
    """The same plan for another checkpoint.

    Raises:
        UsageError: A task leaves no room in its context.
        DataError: It cannot be used.
    """
    settings = plan.settings.model_copy(update={"model": model})
    opened = open_model(model, settings.mirror, settings.trust_remote_code)
    other = replace(plan, settings=settings, checkpoint=opened)
    check_room(other)
    return other


def execute_many(
    plans: Sequence[Plan], *, resume: str | None = None, reuse: bool = False
) -> Iterator[Outcome]:
    """Carry out plans that differ in their checkpoints; yields how each ended, as it ends.

    One that fails does not stop the others.

    Args:
        plans: All with the same settings but for the model.
        resume: `auto` leaves out what is measured and goes on with what is unfinished; or None.
        reuse: As for `execute`.

    Raises:
        UsageError: `resume` names a single run; or the cluster cannot be used.
        StoppedError: The user pressed Ctrl-C.
    """
    if resume not in (None, AUTO):
        raise UsageError(f"--resume {resume} is one run; with several checkpoints, say auto.")
    waiting = []
    known = measured(plans[0]) if resume else {}
    for plan in plans:
        before = known.get(_weights(plan)) if known else None
        if before is None:
            waiting.append(plan)
        else:
            yield Measured(plan.settings.model, before)
    if waiting and plans[0].settings.engine == "ray":
        yield from _side_by_side(waiting, resume, reuse)
    else:
        for plan in waiting:
            yield _ended(plan, resume, reuse)


def measured(plan: Plan) -> dict[tuple[str, str], Manifest]:
    """The store's runs that asked what the plan asks, computed as it says, newest of a checkpoint.

    Returns:
        Hashes of weights and tokenizer -> the run.
    """
    asked = {each.task.name: (each.task.config_hash, each.prompts_hash) for each in plan.tasks}
    found = {}
    for run in plan.store.listing().runs:
        held = {name: (task.config_hash, task.prompts_hash) for name, task in run.tasks.items()}
        same_dtype = run.answered_by.get("dtype") == plan.settings.dtype
        same_way = ("compile" in run.answered_by) == plan.settings.compile
        if same_dtype and same_way and asked.items() <= held.items():
            found[run.model.weights_hash, run.model.tokenizer_hash] = run
    return found


def _weights(plan: Plan) -> tuple[str, str]:
    return plan.checkpoint.weights_hash, plan.checkpoint.tokenizer_hash


def _side_by_side(plans: Sequence[Plan], resume: str | None, reuse: bool) -> Iterator[Outcome]:
    """All runs on one fleet: the largest begin, and as many are open as keep the workers busy."""
    settings = plans[0].settings
    order = sorted(plans, key=lambda plan: -(plan.checkpoint.parameters or 0))
    fleet = start_fleet(settings)
    pool = ThreadPoolExecutor(fleet.seats + _SPARE_RUNS, thread_name_prefix="run")
    try:
        with stopping(True) as is_stopped:
            runs = {pool.submit(_ended, plan, resume, reuse, fleet) for plan in order}
            while runs:
                done, runs = wait(runs, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                if is_stopped():
                    _stop(fleet, runs)
                yield from (run.result() for run in done)
    except KeyboardInterrupt as error:
        raise StoppedError(_STOPPED) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        fleet.stop(StoppedError(_STOPPED))
        pool.shutdown(wait=True)
        fleet.close()


def _stop(fleet: Fleet, runs: "set[Future[Outcome]]") -> None:
    for run in runs:
        run.cancel()
    fleet.stop(StoppedError(_STOPPED))
    wait(runs)
    raise StoppedError(_STOPPED)


def _ended(plan: Plan, resume: str | None, reuse: bool, fleet: Fleet | None = None) -> Outcome:
    try:
        return execute(plan, resume=resume, reuse=reuse, fleet=fleet)
    except StoppedError:
        raise
    except EvalkitError as error:
        return Failed(plan.settings.model, error)


def _is_checkpoint(path: Path) -> bool:
    return any((path / name).is_file() for name in ("config.json", ADAPTER_CONFIG))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
