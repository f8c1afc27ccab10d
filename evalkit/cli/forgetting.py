"""`evalkit forgetting`: what a fine-tuned checkpoint lost against its parent."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, interval, note, print_table
from evalkit.errors import UsageError
from evalkit.settings import RunSettings, describe

if TYPE_CHECKING:
    from evalkit.probes.forgetting import FamilyChange


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("forgetting")(forgetting)


def forgetting(
    model: Annotated[str, typer.Option(help="The fine-tuned checkpoint.")],
    parent: Annotated[
        str | None, typer.Option(help="What it was tuned from; by default as its record says.")
    ] = None,
    tasks: Annotated[list[str] | None, typer.Option(help=describe("tasks"))] = None,
    limit: options.Limit = None,
    mirror: options.Mirror = None,
    store: options.Store = options.DEFAULT_STORE,
    as_json: options.Json = False,
) -> None:
    """Measure a checkpoint and its parent on the same documents; what was lost, by family."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit import results
    from evalkit.probes.forgetting import by_family, to_dict
    from evalkit.runner import execute, make_plan

    common = {"tasks": tasks or ["demo"], "limit": limit, "mirror": mirror, "store": store}
    child_plan = make_plan(RunSettings.checked(model=model, **common))
    found = parent or _recorded_parent(child_plan.checkpoint.path, child_plan.checkpoint.training)
    parent_plan = make_plan(RunSettings.checked(model=found, **common))
    # What the store's runs have answered already is not asked again.
    before, after = (execute(plan, reuse=True).manifest for plan in (parent_plan, child_plan))
    changes = by_family(results.compare(before, after, store))
    if as_json:
        runs = {"parent": before.run_id, "child": after.run_id}
        print(json.dumps({**runs, "families": to_dict(changes)}, allow_nan=False))
        return
    _show(changes)
    note(f"next: evalkit compare {before.run_id} {after.run_id} --flips 5")


def _recorded_parent(child: Path | str, record: dict[str, object] | None) -> str:
    parent = (record or {}).get("parent")
    if not isinstance(parent, str):
        raise UsageError(f"The record of {child} names no parent; name it with --parent.")
    return parent


def _show(changes: list["FamilyChange"]) -> None:
    rows = [
        (
            change.family,
            row.task,
            row.metric,
            figure(row.baseline),
            figure(row.candidate),
            _signed(row.difference),
            interval(row.ci_low, row.ci_high),
            None if row.p_holm is None else f"{row.p_holm:.3g}",
            _word(row.significant(), row.gain),
        )
        for change in changes
        for row in change.tasks
    ]
    headers = ("Family", "Task", "Metric", "Parent", "Child", "Change", "95 % CI", "p (Holm)", "")
    print_table(headers, rows)
    averages = [
        (change.family, a.tasks, _signed(a.value), interval(a.ci_low, a.ci_high))
        for change in changes
        if (a := change.average) is not None
    ]
    print("\nMean gain of a family's shares, negative where something was lost:\n")
    print_table(("Family", "Tasks", "Mean gain", "95 % CI"), averages)
    lost = [row.task for change in changes for row in change.lost]
    print(f"\nLost: {', '.join(lost) or 'nothing significant'}.")


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.4f}"


def _word(is_significant: bool, gain: float | None) -> str:
    if not is_significant or not gain:
        return ""
    return "gained" if gain > 0 else "LOST"
