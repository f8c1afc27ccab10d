"""Verdicts of gates, kept beside the runs: `<store>/.gates/<time>-<run>-<random>.json`.

Each file is a gate's `gate.json` with the time it was reached at. Names sort by age, so the newest
are read without opening the others.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.redact import redacted
from evalkit.results.store import Store

FOLDER = ".gates"
NEWEST = 300
OUTCOMES = {
    0: "passed",
    1: "regressed",
    2: "wrong usage",
    3: "incomplete",
    4: "not comparable",
    5: "inconclusive",
}
"""Exit code of a gate -> what it came to."""

_FALLING = ("max_drop", "min")


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Named(_Record):
    """A run, as a verdict names it."""

    run_id: str
    name: str


class KeptCheck(_Record):
    """One check of a kept verdict; see `evalkit.gating.Check`."""

    task: str
    metric: str
    filter: str
    limit: str
    verdict: str
    reason: str
    value: float | None = None
    baseline: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    excess: float | None = None

    @property
    def rule(self) -> str:
        """Task, metric, filter and limit."""
        filtered = "" if self.filter in ("", "none") else f" ({self.filter})"
        return " ".join(filter(None, (f"{self.task} · {self.metric}{filtered}", self.limit)))

    @property
    def margin(self) -> tuple[float | None, float | None, float | None]:
        """Room left before the limit, in the metric's unit, and its interval; negative beyond."""
        if self.excess is None:
            return None, None, None
        centre = self.value if self.difference is None else self.difference
        if centre is None or self.ci_low is None or self.ci_high is None:
            return -self.excess, None, None
        below, above = centre - self.ci_low, self.ci_high - centre
        if self.limit.split(" ")[0] not in _FALLING:
            below, above = above, below
        return -self.excess, -self.excess - below, -self.excess + above


class KeptVerdict(_Record):
    """A gate's result as it was kept; `run` is None where the run could not be had."""

    created: datetime
    run: Named | None = None
    baseline: Named | None = None
    exit_code: int
    headline: str
    problem: str | None = None
    checks: tuple[KeptCheck, ...] = ()
    notes: tuple[str, ...] = ()
    command: str = ""

    @property
    def outcome(self) -> str:
        """What the gate came to, as `OUTCOMES` has it."""
        return OUTCOMES.get(self.exit_code, f"exit code {self.exit_code}")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Kept verdicts, newest first; how many there are in all; a sentence on each unreadable one."""

    kept: list[KeptVerdict]
    total: int
    problems: list[str] = field(default_factory=list)


def keep_verdict(store: Store, verdict: Mapping[str, Any], when: datetime | None = None) -> str:
    """Keep a gate's result in the store; returns its path there.

    Args:
        store: Where the run lies.
        verdict: What `gate.json` holds.
        when: Time of the verdict; now by default.

    Raises:
        Exception: The file system's own, usually an `OSError`.
    """
    moment = (when or datetime.now(UTC)).astimezone(UTC)
    run = str((verdict.get("run") or {}).get("run_id", "none"))
    word = re.sub(r"[^A-Za-z0-9._-]", "_", run)[:80]
    name = f"{moment:%Y%m%dT%H%M%S%f}-{word}-{secrets.token_hex(2)}.json"
    folder = f"{store.root}/{FOLDER}"
    content = {"created": moment.isoformat(timespec="microseconds"), **redacted(dict(verdict))}
    data = json.dumps(content, indent=2, allow_nan=False).encode()
    if not isinstance(store.filesystem, LocalFileSystem):  # an object appears whole or not at all
        store.filesystem.pipe_file(f"{folder}/{name}", data)
        return f"{folder}/{name}"
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
    return str(path)


def verdict_files(store: Store) -> list[str]:
    """Names of the kept verdicts, newest first; reads none of them."""
    folder = f"{store.root}/{FOLDER}"
    store.filesystem.invalidate_cache(folder)
    try:
        paths = store.filesystem.ls(folder, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = (str(path).rstrip("/").rsplit("/", 1)[-1] for path in paths)
    return sorted((name for name in names if name.endswith(".json")), reverse=True)


def read_verdicts(store: Store, newest: int = NEWEST) -> Verdicts:
    """The newest verdicts that the store keeps; what is damaged becomes `problems`."""
    names = verdict_files(store)
    kept, problems = [], []
    for name in names[:newest]:
        path = f"{store.root}/{FOLDER}/{name}"
        try:
            kept.append(KeptVerdict.model_validate_json(store.filesystem.cat_file(path)))
        except (ValidationError, OSError) as error:
            problems.append(f"{path} is not a readable verdict: {str(error).splitlines()[0]}")
    kept.sort(key=lambda verdict: _utc(verdict.created), reverse=True)
    return Verdicts(kept, len(names), problems)


def verdict_history(verdicts: Verdicts, tags: Mapping[str, list[str]]) -> pd.DataFrame:
    """One row a verdict, newest first.

    Args:
        verdicts: From `read_verdicts`.
        tags: Run id -> "key=value" of its tags.

    Returns:
        created (UTC), run_id, run, baseline, outcome, checks (count), regressed, inconclusive,
        waived, tags (list) and headline.
    """
    rows = [
        {
            "created": _utc(verdict.created),
            "run_id": verdict.run.run_id if verdict.run else "",
            "run": verdict.run.name if verdict.run else "",
            "baseline": verdict.baseline.name if verdict.baseline else "",
            "outcome": verdict.outcome,
            "checks": len(verdict.checks),
            **{
                name: sum(check.verdict == name for check in verdict.checks)
                for name in ("regressed", "inconclusive", "waived")
            },
            "tags": tags.get(verdict.run.run_id, []) if verdict.run else [],
            "headline": verdict.headline,
        }
        for verdict in verdicts.kept
    ]
    columns = ["created", "run_id", "run", "baseline", "outcome", "checks", "regressed"]
    frame = pd.DataFrame(rows, columns=[*columns, "inconclusive", "waived", "tags", "headline"])
    frame["created"] = pd.to_datetime(frame["created"], utc=True)
    return frame


def margin_history(verdicts: Verdicts) -> pd.DataFrame:
    """Each rule's margin over time, oldest first.

    Returns:
        created (UTC), run_id, run, rule, margin (room left before the limit in the metric's unit,
        negative beyond it), margin_low and margin_high (from the check's 95 % interval), verdict
        and reason; checks without a margin are left out.
    """
    rows = [
        {
            "created": _utc(verdict.created),
            "run_id": verdict.run.run_id if verdict.run else "",
            "run": verdict.run.name if verdict.run else "",
            "rule": check.rule,
            **dict(zip(("margin", "margin_low", "margin_high"), check.margin, strict=True)),
            "verdict": check.verdict,
            "reason": check.reason,
        }
        for verdict in reversed(verdicts.kept)
        for check in verdict.checks
        if check.excess is not None and np.isfinite(check.excess)
    ]
    columns = ["created", "run_id", "run", "rule", "margin", "margin_low", "margin_high"]
    frame = pd.DataFrame(rows, columns=[*columns, "verdict", "reason"])
    frame["created"] = pd.to_datetime(frame["created"], utc=True)
    numbers = ["margin", "margin_low", "margin_high"]
    return frame.astype(dict.fromkeys(numbers, float))


def waivers(verdicts: Verdicts) -> pd.DataFrame:
    """Checks that a waiver let pass, newest first: created, run_id, run, rule and reason."""
    rows = [
        (
            _utc(verdict.created),
            verdict.run.run_id if verdict.run else "",
            verdict.run.name if verdict.run else "",
            check.rule,
            check.reason,
        )
        for verdict in verdicts.kept
        for check in verdict.checks
        if check.verdict == "waived"
    ]
    return pd.DataFrame(rows, columns=["created", "run_id", "run", "rule", "reason"])


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
