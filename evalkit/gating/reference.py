"""The baseline of a gate: which run it is, and what of another run can be held against it."""

from dataclasses import dataclass
from typing import Any

from evalkit.errors import DataError, UsageError
from evalkit.gating.config import GateConfig
from evalkit.gating.latency import Rounds, find_rounds
from evalkit.results import Comparison, Manifest, NotComparableError, Store, compare
from evalkit.results.baseline import find_baseline


@dataclass(frozen=True, slots=True)
class Reference:
    """The baseline of a gate.

    Attributes:
        store: Where it lies.
        run: Its manifest; None where there is none.
        named: Its run id, or the file or tag of a baseline.
        problem: Why there is none.
    """

    store: Store
    run: Manifest | None = None
    named: str = ""
    problem: str = ""


def find_reference(store: Store, config: GateConfig, named: str | None) -> Reference:
    """The baseline that the command or the config names, or else the config's fallback."""
    chosen = config.baseline
    references = [named] if named else [chosen.select, chosen.fallback] if chosen else []
    problem = "no baseline was named; give --baseline or a baseline in the config"
    for reference in filter(None, references):
        try:
            home, run = find_baseline(store, reference)
        except (UsageError, DataError) as error:
            problem = f"no baseline: {str(error).rstrip('.')}"
            continue
        return Reference(home, run, run.run_id if home is store else reference)
    return Reference(store, problem=problem)


@dataclass(frozen=True, slots=True)
class Held:
    """What a run can be held against.

    Attributes:
        run: The baseline's manifest.
        comparison: Of the samples both have.
        rounds: In which both were timed in turns.
        notes: Sentences on what was not compared.
        problem: Why nothing can be judged.
    """

    run: Manifest | None = None
    comparison: Comparison | None = None
    rounds: Rounds | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""


def hold(store: Store, run: Manifest, rules: GateConfig, found: Reference, seed: int) -> Held:
    """Compare a run with the baseline that was found, as far as the rules need one.

    Raises:
        UsageError: `require_same` names no field.
        DataError: Samples are missing or damaged.
    """
    needed = rules.rules is None or any(rule.paired for rule in rules.rules)
    if found.run is None:
        return Held(problem=found.problem if needed else "")
    if rules.baseline and (differing := _differing(run, found.run, rules.baseline.require_same)):
        return Held(found.run, problem=differing)
    rounds = find_rounds(store, run, found.run)
    try:
        compared = compare(
            found.run.run_id, run.run_id, store, baseline_store=found.store, seed=seed
        )
    except DataError:
        if needed:
            raise
        return Held(found.run)
    except NotComparableError as error:
        if rounds.pairs or not needed:  # timings in turns need no sample in common
            return Held(found.run, rounds=rounds, notes=(str(error),) if needed else ())
        return Held(found.run, problem=str(error).rstrip("."))
    return Held(found.run, compared, rounds, compared.notes)


def _differing(run: Manifest, baseline: Manifest, fields: tuple[str, ...]) -> str:
    """The first field of `require_same` that differs, in words; empty where none does."""
    mine, theirs = run.model_dump(mode="json"), baseline.model_dump(mode="json")
    for field in fields:
        a, b = _field(theirs, field), _field(mine, field)
        if a is None and b is None:
            raise UsageError(f"require_same: neither run has a field {field!r} in its manifest.")
        if a != b:
            return f"{baseline.name} cannot be compared: {field} was {a}, here it is {b}"
    return ""


def _field(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
