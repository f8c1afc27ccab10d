"""Arena: people judge blind pairs of two runs' texts; their votes rank the runs."""

import secrets
from contextlib import suppress

import pandas as pd
import streamlit as st
from parts import data
from parts.intervals import intervals
from parts.messages import say, warn_of
from parts.pick import pick, pick_run
from parts.sample import text_block
from parts.table import draw_table
from parts.text import number, visible

from evalkit.errors import DataError
from evalkit.results import (
    CRITERIA,
    Overview,
    Vote,
    add_vote,
    agreement,
    left_side,
    ranking,
    sample_rows,
)

ANSWERS = {
    "first": ("A is better", "a"),
    "second": ("B is better", "b"),
    "tie": ("Tie", "t"),
    "both bad": ("Both bad", "x"),
}
MARKS = [1, 2, 3, 4, 5]
HOW = (
    "Keys, outside the name's field (Tab leaves it): a for A, b for B, t for a tie, x where both "
    "are bad. Which run is A is random."
)
LEGEND = (
    "Ability in log-odds of winning, about the mean of the runs (Bradley and Terry), with its 95 % "
    "interval; votes on one document count as dependent. Ties and “both bad” count half for each. "
    "Alpha (Krippendorff): 1 is full agreement of the raters, 0 is chance."
)


def page() -> None:
    """Draw the page."""
    st.title("Arena")
    found = data.view()
    votes = data.votes()
    warn_of(votes.problems, "Some votes of this store cannot be read and are left out.")
    chosen = _choices(found)
    if chosen is None:
        return
    a, b, task = chosen
    rater = st.text_input(
        "Your name", key="rater", bind="query-params", placeholder="so that your votes stay yours"
    ).strip()
    mine = votes.rows[_of_pair(votes.rows, a, b, task)]
    try:
        if rater:
            _judge(a, b, task, rater, mine)
        else:
            st.info("Give a name to begin.")
    except DataError as error:
        say("The samples of this task cannot be read.", str(error))
    if st.toggle("Show the results (tells which run is which)", key="results", bind="query-params"):
        _results(found, votes.rows[votes.rows["task"] == task])


def _choices(found: Overview) -> tuple[str, str, str] | None:
    """Two runs and a task that both answered with texts."""
    texts = {
        (run_id, task)
        for run_id, run in found.manifests.items()
        for task, record in run.tasks.items()
        if record.request_kind in (None, "generate_until")
    }
    runs = found.runs[found.runs["run_id"].isin({run for run, _ in texts})]
    if len(runs) < 2:
        say("This store holds no two runs that generated texts.")
        return None
    ids = list(runs["run_id"])
    with st.container(horizontal=True):
        a = pick_run("One run", runs, "a", ids[1])
        b = pick_run("Another run", runs, "b", ids[0])
        shared = [task for task in found.manifests[a].tasks if {(a, task), (b, task)} <= texts]
        if a == b or not shared:
            st.info("Choose two runs that share a task with generated texts.")
            return None
        task = pick("Task", shared, "task", _default(shared, a, b))
    return a, b, task


def _default(tasks: list[str], a: str, b: str) -> str:
    """The first task whose samples hold texts; older manifests do not say which do."""
    for task in tasks[:20]:
        with suppress(DataError):
            if len(data.pairs(a, b, task)):
                return task
    return tasks[0]


def _of_pair(rows: pd.DataFrame, a: str, b: str, task: str) -> pd.Series:
    first, second = sorted((a, b))
    return (rows["run_a"] == first) & (rows["run_b"] == second) & (rows["task"] == task)


def _judge(a: str, b: str, task: str, rater: str, votes: pd.DataFrame) -> None:
    """The next document that the rater has not judged."""
    pairs = data.pairs(a, b, task)
    if pairs.empty:
        st.info("The two runs have no texts for the same prompts in this task.")
        return
    done = set(votes.loc[votes["rater"] == rater, "doc_hash"])
    skipped = st.session_state.setdefault(f"same:{a}:{b}:{task}", set())
    left = pairs[~pairs["doc_hash"].isin(done | skipped)]
    for row in left.itertuples():
        texts = _texts(a, b, task, row)
        if texts[0]["responses"] != texts[1]["responses"]:
            break
        skipped.add(row.doc_hash)
    else:
        st.success("You have judged every pair that differs. Thank you.")
        return
    st.caption(f"{len(done)} judged by you, at most {len(left)} to go. {HOW}")
    side = left_side(rater, row.doc_hash, task)
    shown = texts if side == "a" else texts[::-1]
    _pair(shown)
    marks = _rubric(row.doc_hash)
    vote = {"rater": rater, "task": task, "doc_hash": row.doc_hash, "left": side}
    vote |= dict(zip(("run_a", "run_b"), sorted((a, b)), strict=True))
    with st.container(horizontal=True):
        for answer, (label, key) in ANSWERS.items():
            clicked = st.button(label, shortcut=key, key=f"{answer} {row.doc_hash} {rater}")
            if clicked:
                _vote(vote, answer, side, marks)


def _texts(a: str, b: str, task: str, row: object) -> list[dict[str, object]]:
    """The document as the two runs have it, the run whose id sorts first before the other."""
    found = []
    for run, doc_id in zip(sorted((a, b)), (row.doc_a, row.doc_b), strict=True):
        rows = sample_rows(data.store(), run, task, row.filter, [int(doc_id)])
        sample = rows.iloc[0]
        found.append({"prompt": sample["prompt"], "responses": list(sample["responses"])})
    return found


def _pair(shown: list[dict[str, object]]) -> None:
    st.caption("Prompt")
    text_block(shown[0]["prompt"])
    for name, sample, place in zip("AB", shown, st.columns(2), strict=True):
        with place:
            st.header(name)
            for response in sample["responses"]:
                text_block(response)


def _rubric(doc_hash: str) -> dict[str, dict[str, int | None]]:
    """Marks from 1 to 5, if the rater gives any: criterion -> first and second."""
    found: dict[str, dict[str, int | None]] = {}
    with st.expander("Mark each text from 1 (worst) to 5 (best), if you like"):
        for name, place in zip(("first", "second"), st.columns(2), strict=True):
            for criterion in CRITERIA:
                title = f"{criterion.capitalize()} of {'A' if name == 'first' else 'B'}"
                given = place.segmented_control(title, MARKS, key=f"{criterion} {name} {doc_hash}")
                found.setdefault(criterion, {})[name] = given
    return found


def _vote(
    vote: dict[str, str], answer: str, side: str, marks: dict[str, dict[str, int | None]]
) -> None:
    """Keep the vote under the runs' own order, whichever was shown first."""
    order = ("first", "second") if side == "a" else ("second", "first")
    runs = dict(zip(order, ("a", "b"), strict=True))
    rubric = {
        f"{criterion}_{runs[name]}": mark
        for criterion, given in marks.items()
        for name, mark in given.items()
    }
    sitting = st.session_state.setdefault("sitting", secrets.token_hex(8))
    try:
        add_vote(data.store(), sitting, Vote(**vote, verdict=runs.get(answer, answer), **rubric))
    except Exception as error:  # each file system has errors of its own
        say("Your vote could not be kept in the store.", str(error))
        return
    st.rerun()


def _results(found: Overview, votes: pd.DataFrame) -> None:
    """Ranking and agreement over all votes on the task."""
    st.header("Results")
    if votes.empty:
        st.info("Nobody has voted on this task yet.")
        return
    runs = found.runs
    labels = dict(zip(runs["run_id"], runs["label"], strict=True))
    rows = ranking(votes)
    rows["label"] = [visible(labels.get(run, run)) for run in rows["run_id"]]
    table = pd.DataFrame(
        {
            "label": rows["label"],
            "ability": [_ability(row) for row in rows.itertuples()],
            **{name: rows[name] for name in ("votes", "wins", "losses", "ties", "bad")},
            **{name: [number(mark, 1) for mark in rows[name]] for name in CRITERIA},
        }
    )
    titles = {name: name.capitalize() for name in table} | {"label": "Run"}
    draw_table(table, titles, "Ranking of the runs")
    known = rows[rows["ability"].notna()].rename(columns={"ability": "value"}).assign(mark="")
    if known.empty:
        st.text("No ranking yet: a run has won or lost every vote, or runs were never compared.")
    else:
        alt = "Abilities with 95 % intervals"
        st.html(intervals(known, list(known["label"]), alt, "ability, log-odds"))
    raters = votes["rater"].nunique()
    st.text(f"{len(votes)} votes by {raters} {'rater' if raters == 1 else 'raters'}.")
    for name, alpha in agreement(votes).items():
        if alpha.alpha is not None:
            ends = f" ({number(alpha.ci_low, 2)} to {number(alpha.ci_high, 2)})"
            ends = ends if alpha.ci_low is not None else ""
            st.text(
                f"Agreement on {name}: alpha {number(alpha.alpha, 2)}{ends} over {alpha.units} "
                "texts or pairs that were judged more than once."
            )
    st.caption(LEGEND)


def _ability(row: object) -> str:
    ends = f" ({number(row.ci_low, 2)} to {number(row.ci_high, 2)})"
    return number(row.ability, 2) + (ends if row.ci_low == row.ci_low else "")


page()
