"""Waivers: regressions that are let through for a while, by name and until a day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from evalkit.gating.config import Waiver
from evalkit.gating.verdict import Check, Verdict


def waive(
    checks: Sequence[Check], waivers: Sequence[Waiver], today: date
) -> tuple[list[Check], list[str]]:
    """Turn waived regressions into notes.

    Returns:
        The checks, and a sentence on each waiver that is over or that nothing needed.
    """
    found = [_waived(check, waivers, today) for check in checks]
    notes = []
    for waiver in waivers:
        meant = [check for check in checks if waiver.covers(check.task, check.metric)]
        if not meant:
            notes.append(f"the waiver of {waiver.rule} by {waiver.by} fits no rule.")
        elif waiver.until < today:
            notes.append(f"the waiver of {waiver.rule} by {waiver.by} ended on {waiver.until}.")
        elif all(check.verdict is not Verdict.REGRESSED for check in meant):
            notes.append(f"the waiver of {waiver.rule} by {waiver.by} is not needed any more.")
    return found, notes


def _waived(check: Check, waivers: Sequence[Waiver], today: date) -> Check:
    if check.verdict is not Verdict.REGRESSED:
        return check
    meant = [waiver for waiver in waivers if waiver.covers(check.task, check.metric)]
    for waiver in meant:
        if waiver.until >= today:
            reason = f"{check.reason}; waived until {waiver.until} by {waiver.by}: {waiver.reason}"
            return replace(check, verdict=Verdict.WAIVED, level="", reason=reason)
    if meant:
        last = max(meant, key=lambda waiver: waiver.until)
        reason = f"{check.reason}; the waiver by {last.by} ended on {last.until}"
        return replace(check, reason=reason)
    return check
