"""A gate's result as files: JSON for programs, JUnit for CI, Markdown for people."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

from evalkit.errors import UsageError
from evalkit.gating.verdict import ORDER, Check, GateResult, Verdict
from evalkit.results import figure_flips
from evalkit.results.text import (
    FLIP_HEADERS,
    arrow,
    flip_cells,
    markdown_table,
    number,
    p_value,
    safe,
    visible,
)

HEADERS = ("Verdict", "Task", "Metric and limit", "Baseline", "Run", "p (corrected)", "Why")
FLIPS = 5
_MARKS = {
    Verdict.REGRESSED: "❌",
    Verdict.ERROR: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.WAIVED: "⚠️",
    Verdict.SKIPPED: "➖",
    Verdict.PASS: "✅",
    Verdict.IMPROVED: "✅",
}


def write_reports(result: GateResult, folder: Path) -> None:
    """Write gate.json, gate.xml and gate.md.

    Raises:
        UsageError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result.to_dict(), indent=2, allow_nan=False)
        (folder / "gate.json").write_text(text + "\n", encoding="utf-8")
        (folder / "gate.xml").write_bytes(junit(result))
        (folder / "gate.md").write_text(markdown(result), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error}); choose another --output."
        ) from error


def cells(check: Check) -> tuple[str, ...]:
    """Cells under `HEADERS`."""
    return (
        check.verdict.value,
        check.task,
        f"{check.name}{arrow(check.higher_is_better)}",
        number(check.baseline),
        number(check.value),
        p_value(check.p_corrected),
        check.reason,
    )


def markdown(result: GateResult) -> str:
    """The result as a page: regressions first, with samples that show them."""
    mark = "✅" if result.passed else "❌"
    parts = [f"## {mark} {safe(result.headline)}"]
    if result.checks:
        rows = [(f"{_MARKS[c.verdict]} {c.verdict}", *cells(c)[1:]) for c in result.checks]
        parts.append(markdown_table(HEADERS, rows))
    for check in result.checks:
        if check.verdict is Verdict.REGRESSED:
            parts += _lost_samples(result, check)
    parts += [f"- {safe(note)}" for note in result.notes]
    if result.command:
        parts.append(f"Reproduce with `{visible(result.command).replace('`', '')}`.")
    return "\n\n".join(parts) + "\n"


def junit(result: GateResult) -> bytes:
    """The result as JUnit XML, one case a check, and an error where nothing could be compared."""
    suite = ElementTree.Element("testsuite", name="evalkit gate")
    if result.problem:
        what = "baseline" if result.run else "run"
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name=what)
        ElementTree.SubElement(case, "error", message=visible(result.problem))
    for check in result.checks:
        name = visible(check.name)
        case = ElementTree.SubElement(
            suite, "testcase", classname=visible(check.task), name=name, time="0"
        )
        kind = _junit_kind(check)
        if kind == "system-out":
            ElementTree.SubElement(case, kind).text = visible(f"{check.verdict}: {check.reason}")
        else:
            message = visible(check.reason)
            ElementTree.SubElement(case, kind, message=message, type=check.verdict.value)
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def annotate(result: GateResult) -> list[str]:
    """Hand the result to GitHub Actions, where that is what we run in.

    Appends the Markdown page to the file that $GITHUB_STEP_SUMMARY names, and returns the workflow
    commands that mark what is wrong; the caller prints them.
    """
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown(result))
        except OSError as error:
            raise UsageError(f"GITHUB_STEP_SUMMARY cannot be written: {error}.") from error
    if not summary and os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    told = [("error", result.problem)] if result.problem else []
    told += [
        (check.level, f"{check.verdict}: {check.task} {check.name}: {check.reason}")
        for check in result.checks
        if check.level
    ]
    return [f"::{level} title=evalkit gate::{_command_text(text)}" for level, text in told]


def console_rows(result: GateResult) -> list[tuple[str, ...]]:
    """Rows under `HEADERS`, worst first."""
    return [cells(c) for c in sorted(result.checks, key=lambda c: ORDER.index(c.verdict))]


def _lost_samples(result: GateResult, check: Check) -> list[str]:
    comparison = result.comparison
    rows = comparison.differences if comparison else ()
    wanted = (check.task, check.metric, check.filter)
    row = next((row for row in rows if (row.task, row.metric, row.filter) == wanted), None)
    if comparison is None or row is None:
        return []
    # Half of those that are asked for may be losses.
    found = figure_flips(comparison, row, 2 * FLIPS)
    lost = [flip for flip in found if flip.outcome == "lost"][:FLIPS]
    if not lost:
        return []
    title = f"### {safe(check.task)} {safe(check.metric)}: {len(lost)} of the samples it lost"
    return [title, markdown_table(FLIP_HEADERS, map(flip_cells, lost))]


def _junit_kind(check: Check) -> str:
    if check.verdict is Verdict.INCONCLUSIVE:
        return "failure" if check.exit_code else "system-out"
    return {
        Verdict.REGRESSED: "failure",
        Verdict.ERROR: "error",
        Verdict.SKIPPED: "skipped",
    }.get(check.verdict, "system-out")


def _command_text(text: str) -> str:
    """Escaped as GitHub's workflow commands want it; on one line, so none can be forged."""
    return visible(text).replace("%", "%25")
