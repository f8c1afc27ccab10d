"""Gate: what the gates said, how much room each rule had, and what was waived."""

from functools import partial

import pandas as pd
import streamlit as st
from parts import data
from parts.charts import curves
from parts.frame import cards
from parts.links import link
from parts.messages import say, warn_of
from parts.pick import pick
from parts.sample import text_block
from parts.table import draw_table
from parts.text import digits_for, number, visible

from evalkit.results import (
    KeptCheck,
    KeptVerdict,
    Overview,
    Verdicts,
    margin_history,
    verdict_history,
    waivers,
)

SHOWN = 50
CHARTS = 4
OUTCOMES = {
    "passed": "✓ passed",
    "regressed": "✗ regressed",
    "inconclusive": "? inconclusive",
    "incomplete": "– incomplete",
    "not comparable": "– not comparable",
}
LEGEND = (
    "Room left before the limit, in the metric's own unit, with its 95 % interval; below the line "
    "at 0 the limit was passed. A ring marks a regression."
)
WAIVED = "A waiver lets a rule fail for a while; its reason and last day stand in the rules file."


def page() -> None:
    """Draw the page."""
    st.title("Gate")
    found = data.view()
    kept = data.verdicts()
    warn_of(kept.problems, "Some verdicts of this store cannot be read and are left out.")
    if not kept.kept:
        say(
            "This store keeps no verdicts yet.",
            f"Make one with: evalkit gate RUN --baseline RUN --store {data.store().shown_url}",
        )
        return
    tags = dict(zip(found.runs["run_id"], found.runs["tags"], strict=True))
    kept = _of_tag(kept, tags)
    _history(kept, tags)
    _margins(kept)
    _waived(kept)
    _one(found, kept)


def _of_tag(kept: Verdicts, tags: dict[str, list[str]]) -> Verdicts:
    """Verdicts on runs that bear the chosen tag, such as a branch."""
    ids = {verdict.run.run_id for verdict in kept.kept if verdict.run}
    known = sorted({tag for run in ids for tag in tags.get(run, [])})
    if len(kept.kept) < kept.total:
        st.caption(f"The newest {len(kept.kept)} of {kept.total} verdicts.")
    if not known:
        return kept
    chosen = pick("Branch or tag", ["", *known], "of", "", lambda tag: visible(tag or "all"))
    if not chosen:
        return kept
    fits = [v for v in kept.kept if v.run and chosen in tags.get(v.run.run_id, [])]
    return Verdicts(fits, kept.total)


def _history(kept: Verdicts, tags: dict[str, list[str]]) -> None:
    rows = verdict_history(kept, tags)
    counts = rows["outcome"].value_counts()
    told = [f"{count} {outcome}" for outcome, count in counts.items()]
    st.header(f"{len(rows)} verdicts: {', '.join(told)}")
    shown = rows.head(SHOWN)
    table = pd.DataFrame(
        {
            "created": shown["created"].dt.strftime("%Y-%m-%d %H:%M"),
            "outcome": [OUTCOMES.get(outcome, outcome) for outcome in shown["outcome"]],
            "run": shown["run"],
            "baseline": shown["baseline"],
            **{name: shown[name] for name in ("checks", "regressed", "inconclusive", "waived")},
            "tags": [", ".join(names) for names in shown["tags"]],
        }
    )
    titles = {name: name.capitalize() for name in table}
    titles |= {"created": "Time (UTC)", "baseline": "Against", "inconclusive": "Open"}
    stamps = [_stamp(verdict) for verdict in kept.kept[: len(shown)]]
    alt, key = "Verdicts, newest first", f"verdicts {hash(tuple(stamps))}"
    at = st.query_params.get("at", "")
    draw_table(
        table,
        titles,
        alt,
        ids=stamps,
        tick="one",
        ticked=[at if at in stamps else stamps[0]],
        on_tick=partial(_show, key),
        key=key,
    )
    if len(shown) < len(rows):
        st.caption(f"The newest {SHOWN} are listed.")


def _show(key: str) -> None:
    """Have the link name the verdict that was ticked."""
    st.query_params["at"] = st.session_state[key]["ticked"][0]


def _margins(kept: Verdicts) -> None:
    """How the room of each rule changed, the tightest rules first."""
    rows = margin_history(kept)
    if rows.empty:
        return
    st.header("Margins")
    latest = rows.groupby("rule").last()
    scale = rows.groupby("rule")["margin"].agg(lambda margins: margins.abs().max()).replace(0, 1)
    order = (latest["margin"] / scale).sort_values(kind="stable").index.tolist()
    chosen = st.multiselect(
        "Rules", order, key="rules", bind="query-params", format_func=visible,
        placeholder="those nearest to their limits",
    )  # fmt: skip
    drawn = chosen or order[:CHARTS]
    st.html(cards((rule, _margin(rule, rows[rows["rule"] == rule])) for rule in drawn))
    st.caption(LEGEND)


def _margin(rule: str, rows: pd.DataFrame) -> str:
    points = pd.DataFrame(
        {
            "position": rows["created"],
            "value": rows["margin"],
            "ci_low": rows["margin_low"],
            "ci_high": rows["margin_high"],
            "curve": "margin",
            "label": [visible(name) for name in rows["run"]],
            "marked": rows["verdict"] == "regressed",
        }
    )
    return curves(points, f"Margin of {visible(rule)} over time", x="", level=0, when=True)


def _waived(kept: Verdicts) -> None:
    rows = waivers(kept)
    st.header("Waivers")
    if rows.empty:
        st.info("No check of these verdicts was waived.")
        return
    rows["created"] = [moment.strftime("%Y-%m-%d %H:%M") for moment in rows["created"]]
    rows = rows.drop(columns="run_id").head(SHOWN)
    titles = {name: name.capitalize() for name in rows} | {"created": "Time (UTC)"}
    draw_table(rows, titles, "Waived checks")
    st.caption(WAIVED)


def _one(found: Overview, kept: Verdicts) -> None:
    """The verdict that the URL names, else the newest."""
    if not kept.kept:
        return
    asked = st.query_params.get("at", "")
    by_stamp = {_stamp(verdict): verdict for verdict in kept.kept}
    if asked and asked not in by_stamp:
        st.info("The verdict of this link is not among these; the newest one is shown.")
    verdict = by_stamp.get(asked, kept.kept[0])
    st.header(f"Verdict of {verdict.created:%d %b %Y %H:%M} UTC")
    st.text(visible(verdict.headline))
    rows = [_check(check) for check in verdict.checks]
    if rows:
        columns = ["verdict", "rule", "value", "baseline", "margin", "reason"]
        titles = {name: name.capitalize() for name in columns} | {"value": "Run", "reason": "Why"}
        draw_table(pd.DataFrame(rows, columns=columns), titles, "Checks, worst first")
    for note in verdict.notes:
        st.text(visible(note))
    if verdict.command:
        st.caption("Reproduce with")
        text_block(verdict.command)
    if (
        verdict.run
        and verdict.baseline
        and {verdict.run.run_id, verdict.baseline.run_id} <= set(found.manifests)
    ):
        link("Compare the two runs", "compare", a=verdict.baseline.run_id, b=verdict.run.run_id)


def _check(check: KeptCheck) -> tuple[str, ...]:
    numbers = [value for value in (check.value, check.baseline) if value is not None]
    digits = digits_for(max(map(abs, numbers), default=0.0))
    figures = (check.value, check.baseline, check.margin[0])
    return (
        check.verdict,
        check.rule,
        *(number(figure, digits) for figure in figures),
        check.reason,
    )


def _stamp(verdict: KeptVerdict) -> str:
    return f"{verdict.created:%Y%m%dT%H%M%S%f}"


page()
