"""The store the dashboard was started on; what was read is kept until the store changes."""

import gc
import os
from pathlib import Path

import pandas as pd
import streamlit as st
from parts.messages import say, warn_of

from evalkit.results import (
    Board,
    Choice,
    Comparison,
    Overview,
    RequestTimes,
    Series,
    Store,
    TrainingSeries,
    Verdicts,
    Votes,
    category_scores,
    compare,
    compare_series,
    find_log,
    fingerprint,
    overview,
    pair_documents,
    read_log,
    read_verdicts,
    read_votes,
    request_times,
    sample_index,
    search_samples,
    select_board,
    suites,
    training_series,
    verdict_files,
    vote_files,
)

STORE = "EVALKIT_STORE"
MARK = "store as it was at the start of the script"


def store() -> Store:
    """The store named when the dashboard was started."""
    return Store(os.environ.get(STORE, "reports"))


def look() -> None:
    """Look once, at the start of a page's script, whether the store has changed."""
    st.session_state[MARK] = fingerprint(store())


def _mark() -> str:
    return str(st.session_state[MARK])


def view() -> Overview:
    """Manifests and scores of the store; stops the page with a sentence where there are none."""
    opened = store()
    found = _overview(opened.url, _mark())
    warn_of(found.problems)
    if found.runs.empty and found.problems:
        st.stop()
    if found.runs.empty:
        say("This store holds no runs yet.", f"Make one with: evalkit run --store {opened.url}")
        st.stop()
    return found


def names() -> dict[str, list[str]]:
    """What the runs and scores of the store name, sorted: models, tags, tasks and so on."""
    opened = store()
    return _names(opened.url, _mark())


def board(choice: Choice) -> Board:
    """What a leaderboard shows; not to be changed in place."""
    opened = store()
    return _board(opened.url, _mark(), choice)


def index(run_id: str, task: str, score: pd.Series) -> pd.DataFrame:
    """Index of a task's samples under the metric of a score; not to be changed in place."""
    opened = store()
    return _index(opened.url, _mark(), run_id, task, score)


def containing(run_id: str, task: str, text: str) -> set[int]:
    """Ids of the documents that contain the text."""
    opened = store()
    return _containing(opened.url, _mark(), run_id, task, text)


def comparison(a: str, b: str) -> Comparison:
    """Run b against run a."""
    opened = store()
    return _comparison(opened.url, _mark(), a, b)


def trainings() -> list[TrainingSeries]:
    """Trainings of which the store holds runs."""
    opened = store()
    return _trainings(opened.url, _mark())


def training_log(series: TrainingSeries) -> pd.DataFrame | None:
    """What was looked at in a training, also while it goes on; None where it is not at hand.

    Raises:
        DataError: It is damaged.
    """
    opened = store()
    path = find_log(_overview(opened.url, _mark()), series)
    if path is None:
        return None
    found = path.stat()
    return _training_log(path, found.st_mtime_ns, found.st_size)


def trends(runs: tuple[str, ...], tasks: tuple[str, ...]) -> Series:
    """Curves of these tasks over a series of runs, with their trend tests."""
    opened = store()
    return _trends(opened.url, _mark(), runs, tasks)


def verdicts() -> Verdicts:
    """The newest verdicts of gates that the store keeps."""
    opened = store()
    return _verdicts(opened.url, tuple(verdict_files(opened)))


def times(runs: tuple[str, ...]) -> RequestTimes:
    """Timed requests of these runs."""
    opened = store()
    return _times(opened.url, _mark(), runs)


def categories(run_id: str, task: str, score: pd.Series) -> pd.DataFrame:
    """A metric of a run by category."""
    opened = store()
    return _categories(opened.url, _mark(), run_id, task, score)


def votes() -> Votes:
    """Votes of the arena; a new one is seen at once."""
    opened = store()
    return _votes(opened.url, tuple(sorted(vote_files(opened).items())))


def pairs(a: str, b: str, task: str) -> pd.DataFrame:
    """Documents that two runs both answered with a text."""
    opened = store()
    return _pairs(opened.url, _mark(), a, b, task)


# The mark is part of each key: a run that is added or replaced is seen at the next reload.


@st.cache_resource(max_entries=2, show_spinner="Reading the store")
def _overview(url: str, mark: str) -> Overview:
    found = overview(Store(url))
    if not gc.get_freeze_count():
        # From here on the search for garbage leaves the store's records alone: with 2,000 runs it
        # held a page up for a third of a second.
        gc.collect()
        gc.freeze()
    return found


@st.cache_resource(max_entries=2)
def _names(url: str, mark: str) -> dict[str, list[str]]:
    found = _overview(url, mark)
    return {
        "models": sorted(found.runs["model"].unique()),
        "tags": sorted({tag for row in found.runs["tags"] for tag in row}),
        "tasks": sorted(found.scores["task"].unique()),
        "metrics": sorted(found.scores["metric"].unique()),
        "families": sorted(found.scores["family"].dropna().unique()),
        "suites": sorted(suites(found)),
    }


@st.cache_resource(max_entries=8, show_spinner="Sorting")
def _board(url: str, mark: str, choice: Choice) -> Board:
    return select_board(_overview(url, mark), choice)


@st.cache_resource(max_entries=8, show_spinner="Reading samples")
def _index(url: str, mark: str, run_id: str, task: str, score: pd.Series) -> pd.DataFrame:
    return sample_index(Store(url), run_id, task, score)


@st.cache_resource(max_entries=32, show_spinner="Searching")
def _containing(url: str, mark: str, run_id: str, task: str, text: str) -> set[int]:
    return search_samples(Store(url), run_id, task, text)


@st.cache_resource(max_entries=4, show_spinner="Comparing")
def _comparison(url: str, mark: str, a: str, b: str) -> Comparison:
    manifests = _overview(url, mark).manifests
    return compare(manifests[a], manifests[b], Store(url), around_damage=True)


@st.cache_resource(max_entries=2)
def _trainings(url: str, mark: str) -> list[TrainingSeries]:
    return training_series(_overview(url, mark))


@st.cache_resource(max_entries=4)
def _training_log(path: Path, mtime_ns: int, size: int) -> pd.DataFrame:
    return read_log(path)


@st.cache_resource(max_entries=8, show_spinner="Testing the trends")
def _trends(url: str, mark: str, runs: tuple[str, ...], tasks: tuple[str, ...]) -> Series:
    manifests = _overview(url, mark).manifests
    return compare_series([manifests[run] for run in runs], Store(url), tasks=tasks)


@st.cache_resource(max_entries=2, show_spinner="Reading verdicts")
def _verdicts(url: str, names: tuple[str, ...]) -> Verdicts:
    return read_verdicts(Store(url))


@st.cache_resource(max_entries=4, show_spinner="Reading timings")
def _times(url: str, mark: str, runs: tuple[str, ...]) -> RequestTimes:
    return request_times(Store(url), runs)


@st.cache_resource(max_entries=16, show_spinner="Reading samples")
def _categories(url: str, mark: str, run_id: str, task: str, score: pd.Series) -> pd.DataFrame:
    return category_scores(Store(url), run_id, task, score)


@st.cache_resource(max_entries=2)
def _votes(url: str, marks: tuple[tuple[str, str], ...]) -> Votes:
    return read_votes(Store(url))


@st.cache_resource(max_entries=32, show_spinner="Reading samples")
def _pairs(url: str, mark: str, a: str, b: str, task: str) -> pd.DataFrame:
    return pair_documents(Store(url), a, b, task)
