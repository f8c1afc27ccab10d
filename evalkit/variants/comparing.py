"""`evalkit variants`: makes the variants of a checkpoint, measures each and judges it."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.device import device_of
from evalkit.engine.model import open_model
from evalkit.errors import EvalkitError, StoppedError, UsageError
from evalkit.profiling.measure import fitting
from evalkit.results import Comparison, Manifest, Store, compare
from evalkit.runner import execute, make_plan
from evalkit.runner.environment import environment
from evalkit.runner.identity import answered_by
from evalkit.runner.manifest import default_name
from evalkit.runner.plan import Plan
from evalkit.settings import RunSettings
from evalkit.variants.making import claim_folder, make
from evalkit.variants.outcome import Measured, Outcome, judged
from evalkit.variants.settings import VariantSettings
from evalkit.variants.speed import memory_of, times_as_fast
from evalkit.variants.turns import profile_in_turns
from evalkit.variants.variant import ORIGINAL, VARIANTS, Variant

TAG, TURNS = "variant", "turns"
"""Tags of the runs: which variant it is, and with which other profile it took turns."""

_STOPPED = "Stopped; what was made and measured is kept, go on with the same command and --resume."


@dataclass(frozen=True, slots=True)
class _Study:
    """What all variants have in common.

    Attributes:
        resume: Whether finished and unfinished runs of an earlier call are gone on with.
        say: Told what is being done.
    """

    settings: VariantSettings
    checkpoint: Checkpoint
    name: str
    out: Path
    store: Store
    resume: bool
    say: Callable[[str], object]


def compare_variants(
    model: str,
    *,
    resume: bool = False,
    say: Callable[[str], object] = lambda text: None,
    **settings: Any,
) -> Outcome:
    """Make variants of a checkpoint, measure each beside the original, and judge what it lost.

    A variant that cannot be made or measured says why, and the others go on.

    Args:
        model: Checkpoint folder, or org/name of a model in the mirror.
        resume: Go on with what an earlier call with the same settings has left in the store.
        say: Told what is being done, sentence by sentence.
        **settings: Further fields of `VariantSettings`.

    Raises:
        UsageError: A setting is impossible, a task unknown, or the model has no weights at hand.
        DataError: The checkpoint or a task's data cannot be used.
        EvaluationError: The original itself cannot be measured.
        StoppedError: The user pressed Ctrl-C.
    """
    asked = VariantSettings.checked(model=model, **settings)
    opened = open_model(asked.model, asked.mirror, asked.trust_remote_code)
    if not isinstance(opened, Checkpoint):
        raise UsageError(
            f"{opened.path} is a server, whose weights are not at hand; name a checkpoint folder."
        )
    try:
        return _compared(asked, opened, resume, say)
    except (KeyboardInterrupt, StoppedError) as error:
        raise StoppedError(_STOPPED) from error


def _compared(
    asked: VariantSettings, checkpoint: Checkpoint, resume: bool, say: Callable[[str], object]
) -> Outcome:
    plan = _plan(asked, ORIGINAL, str(checkpoint.path), asked.name or default_name(checkpoint))
    asked, name = fitting(asked, checkpoint), plan.settings.name or ""
    out = asked.out or Path("checkpoints") / f"{name}-variants"
    claim_folder(out, checkpoint)
    study = _Study(asked, checkpoint, name, out, plan.store, resume, say)
    original = _evaluated(study, plan, ORIGINAL)
    measured: list[Measured] = []
    comparisons: list[Comparison] = []
    failed: dict[str, str] = {}
    for variant in (VARIANTS[name] for name in asked.make):
        try:
            found, comparison = _measured(study, variant, original)
        except StoppedError:
            raise
        except Exception as error:  # a library's failure is the variant's own
            failed[variant.name] = _reason(error)
            say(f"{variant.name}: {failed[variant.name]}")
            continue
        measured.append(found)
        comparisons.append(comparison)
    return judged(study.out, original, measured, comparisons, failed, asked)


def _reason(error: Exception) -> str:
    told = " ".join(str(error).split())
    return told if isinstance(error, EvalkitError) else f"{type(error).__name__}: {told[:200]}"


def _measured(study: _Study, variant: Variant, original: Manifest) -> tuple[Measured, Comparison]:
    """One variant: made, timed in turns with the original, evaluated, compared."""
    study.say(f"{variant.name}: making it ({variant.about})")
    folder = make(variant, study.checkpoint, study.out)
    settings = {**study.settings.of_run(), **variant.settings, "model": str(folder)}
    plan = _plan(RunSettings.checked(**settings), variant.name, str(folder), study.name)
    runs = _profiled(study, variant, plan)
    run = _evaluated(study, plan, variant.name)
    scores = [study.store.scores([run_id]) for run_id in runs]
    found = Measured(
        name=variant.name,
        run=run,
        profiles=runs,
        bytes=_weight_bytes(_checkpoint(plan)),
        original_bytes=_weight_bytes(study.checkpoint),
        memory=memory_of(scores[1]),
        original_memory=memory_of(scores[0]),
        speed=times_as_fast(study.store, *runs),
    )
    comparison = compare(original, run, study.store, seed=study.settings.seed)
    return found, comparison


def _plan(settings: RunSettings, variant: str, model: str, name: str) -> Plan:
    """The run of a variant over the tasks."""
    named = name if variant == ORIGINAL else f"{name}-{variant}"
    known = settings.model_dump(include=set(RunSettings.model_fields))
    tags = {**settings.tags, TAG: variant}
    return make_plan(RunSettings.checked(**known | {"model": model, "name": named, "tags": tags}))


def _checkpoint(plan: Plan) -> Checkpoint:
    checkpoint = plan.checkpoint
    assert isinstance(checkpoint, Checkpoint)  # noqa: S101 - a folder was opened
    return checkpoint


def _weight_bytes(checkpoint: Checkpoint) -> int:
    return sum(file.stat().st_size for file in checkpoint.weights)


def _evaluated(study: _Study, plan: Plan, variant: str) -> Manifest:
    """The run of the tasks: a finished one where that is wanted, else a new one."""
    if study.resume and (found := _finished(study.store, plan, variant)):
        study.say(f"{variant}: its tasks were run before, as {found.run_id}")
        return found
    study.say(f"{variant}: running its tasks")
    return execute(plan, resume="auto" if study.resume else None).manifest


def _finished(store: Store, plan: Plan, variant: str) -> Manifest | None:
    """The newest run that answers the same by the same."""
    asked = {p.task.name: (p.task.config_hash, p.prompts_hash) for p in plan.tasks}
    identity = answered_by(plan)
    for run in reversed(store.listing().runs):
        held = {name: (task.config_hash, task.prompts_hash) for name, task in run.tasks.items()}
        if run.tags.get(TAG) == variant and held == asked and run.answered_by == identity:
            return run
    return None


def _profiled(study: _Study, variant: Variant, plan: Plan) -> tuple[str, str]:
    """Ids of the profiles of the original and the variant, taken in turns."""
    common = study.settings.of_profile() | {"store": study.settings.store}
    if study.resume and (found := _finished_profiles(study, variant, plan)):
        study.say(f"{variant.name}: it was timed before, as {found[1]}")
        return found
    study.say(f"{variant.name}: timing it in turns with the original")
    turns = secrets.token_hex(4)
    sides: list[tuple[str, str, Mapping[str, Any]]] = [
        (ORIGINAL, str(study.checkpoint.path), {}),
        (variant.name, plan.settings.model, variant.settings),
    ]
    asked = []
    for name, model, own in sides:
        tags = {**study.settings.tags, TAG: name, TURNS: turns}
        named = study.name if name == ORIGINAL else f"{study.name}-{name}"
        settings = {**common, **own, "tags": tags, "name": f"{named}-profile"}
        settings.pop("model")
        asked.append((model, settings))
    original, own_id = profile_in_turns(asked)
    return original, own_id


def _finished_profiles(study: _Study, variant: Variant, plan: Plan) -> tuple[str, str] | None:
    """The newest two that were taken in turns with these settings."""
    checkpoint = _checkpoint(plan)
    hardware = environment(device_of(checkpoint, plan.settings.device))["hardware"]
    wanted = {
        name: getattr(study.settings, name)
        for name in ("batch_sizes", "prompt_tokens", "new_tokens", "repeats")
    } | dict(variant.settings)
    runs = [run for run in study.store.listing().runs if run.tags.get(TURNS)]
    for run in reversed(runs):
        same = all(run.settings.get(name) == value for name, value in wanted.items())
        weights = run.model.weights_hash == checkpoint.weights_hash
        here = run.environment.get("hardware") == hardware
        if run.tags.get(TAG) == variant.name and same and weights and here:
            beside = [r for r in runs if r.tags[TURNS] == run.tags[TURNS] and r is not run]
            if len(beside) == 1 and beside[0].tags.get(TAG) == ORIGINAL:
                return beside[0].run_id, run.run_id
    return None
