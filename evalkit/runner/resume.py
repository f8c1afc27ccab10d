"""Unfinished runs: found again, refused where they answer something else, gone on with."""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from evalkit.errors import DataError, UsageError
from evalkit.redact import redacted
from evalkit.results import Store
from evalkit.results.index import run_stamps
from evalkit.results.partial import journal_root, unfinished_runs
from evalkit.runner.identity import answered_by
from evalkit.runner.journal import Header, Journal, read_header, request_keys
from evalkit.runner.manifest import timestamp
from evalkit.runner.plan import Plan
from evalkit.settings import OF_RAY, RunSettings
from evalkit.types import digest

AUTO = "auto"
_DEFAULT_STORE = RunSettings.model_fields["store"].default


def unfinished(store: Store) -> list[Header]:
    """Runs that were begun and not finished, oldest first; unreadable journals are passed over."""
    found = []
    for run_id in unfinished_runs(store):
        try:
            found.append(read_header(journal_root(store) / run_id))
        except DataError:
            continue
    return found


def find_unfinished(store: Store, reference: str) -> Header:
    """The unfinished run with this id or unique beginning of an id.

    Raises:
        UsageError: There is none.
        DataError: Its journal cannot be read.
    """
    root = journal_root(store)
    ids = unfinished_runs(store)
    fitting = [i for i in ids if i == reference] or [i for i in ids if i.startswith(reference)]
    if len(fitting) != 1:
        many = "fits several" if fitting else "names no"
        if reference in run_stamps(store.place):
            raise UsageError(f"{reference} is finished, and in {store.shown_url}; nothing is left.")
        known = ", ".join((fitting or ids)[-5:]) or "none"
        raise UsageError(
            f"--resume {reference!r} {many} unfinished run in {store.shown_url}; there: {known}."
        )
    return read_header(root / fitting[0])


def settings_to_resume(store: str, reference: str, given: Mapping[str, Any]) -> RunSettings:
    """The settings an unfinished run was begun with, those given now in front of them.

    Raises:
        UsageError: There is no such run, or a setting is impossible.
        DataError: Its journal cannot be read.
    """
    header = find_unfinished(Store(store), reference)
    held = header.settings
    if given.get("engine") == "local":  # what was begun on a cluster may go on without one
        held = {name: value for name, value in held.items() if name not in OF_RAY}
    return RunSettings.checked(**{**held, **given, "store": store})


def open_journal(
    plan: Plan, resume: str | None, run_id: str, created: datetime, device: str | None = None
) -> Journal:
    """The journal of the run to go on with, or a new one.

    Args:
        plan: What is to be answered.
        resume: Id of an unfinished run; `auto` for the newest that fits, if any; None for none.
        run_id: Of a new run.
        created: Start of a new run.
        device: What computes, where it is not this process.

    Raises:
        UsageError: The journal is of other weights, prompts, decoding or libraries; or there is
            none; or another process is writing it; or a new one cannot be written.
        DataError: The journal cannot be read.
    """
    root = journal_root(plan.store)
    begun = _header(plan, run_id, created, device)
    header = None
    if resume == AUTO:
        fitting = [held for held in unfinished(plan.store) if not differences(held, begun)]
        header = fitting[-1] if fitting else None
    elif resume is not None:
        header = find_unfinished(plan.store, resume)
        _refuse(header, begun)
    if header is not None:
        journal = Journal.reopen(root / header.run_id)
        journal.mark_resumed(datetime.now(UTC).isoformat(timespec="seconds"))
        return journal
    try:
        return Journal.create(root / run_id, begun)
    except OSError as error:
        raise UsageError(f"The journal in {root} cannot be written: {error.strerror}.") from error


def differences(held: Header, wanted: Header) -> list[str]:
    """In words, why the responses of one header are no answers to the other."""
    words = {"weights_hash": "weights", "tokenizer_hash": "tokenizer"}
    found = [
        f"{words.get(name, name)} ({held.identity.get(name)}, now {wanted.identity.get(name)})"
        for name in {**held.identity, **wanted.identity}
        if held.identity.get(name) != wanted.identity.get(name)
    ]
    if held.requests != wanted.requests:
        found.append(
            f"prompts or decoding ({held.count:,} requests, now {wanted.count:,})"
            if held.count != wanted.count
            else "prompts or decoding"
        )
    return found


def resume_command(run_id: str, store: Store) -> str:
    """What a user types to go on with a run."""
    where = "" if store.url == _DEFAULT_STORE else f" --store {shlex.quote(store.shown_url)}"
    return f"evalkit run --resume {run_id}{where}"


def _refuse(held: Header, wanted: Header) -> None:
    found = differences(held, wanted)
    if found:
        raise UsageError(
            f"The journal of {held.run_id} answers other {' and '.join(found)}; "
            "run without --resume to start anew."
        )


def _header(plan: Plan, run_id: str, created: datetime, device: str | None) -> Header:
    requests = plan.requests
    return Header(
        run_id=run_id,
        created=timestamp(created),
        settings=redacted(plan.settings.model_dump(mode="json", exclude={"store"})),
        identity=answered_by(plan, device),
        requests=digest(request_keys(requests)),
        count=len(requests),
    )
