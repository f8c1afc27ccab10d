"""The Arena page: blind, kept, ranked."""

import pytest

from evalkit.results import pair_documents, read_votes
from tests.dashboard.shown import blocks, tables, texts
from tests.stores import HOSTILE, make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"


@pytest.fixture
def arena(tmp_path):
    return make_store(tmp_path, tasks=["facts", "answers"], n=20)


def click(app, label):
    next(button for button in app.button if button.label == label).click()
    return app.run()


def test_a_name_comes_first(open_page, arena):
    app = open_page("arena", arena)
    assert not app.exception
    assert "Give a name to begin." in texts(app)
    assert not app.button


def test_the_pair_is_blind_and_the_vote_is_the_runs(open_page, arena):
    app = open_page("arena", arena, rater="ann", task="answers")
    labels = ["A is better", "B is better", "Tie", "Both bad"]
    assert [button.label for button in app.button] == labels
    shown = blocks(app)[1:3]
    samples = {run: arena.samples(run, "answers").set_index("doc_hash") for run in (EARLY, LATE)}
    click(app, "A is better")
    assert not app.exception
    row = read_votes(arena).rows.iloc[0]
    winner = row["run_a"] if row["verdict"] == "a" else row["run_b"]
    loser = ({EARLY, LATE} - {winner}).pop()
    assert samples[winner].loc[row["doc_hash"], "responses"][0] == shown[0]
    assert samples[loser].loc[row["doc_hash"], "responses"][0] == shown[1]
    assert (row["rater"], row["task"]) == ("ann", "answers")
    blind = [element.value for element in (*app.header, *app.caption, *app.text)]
    assert not any("early" in text or "late" in text for text in blind if "Store" not in text)


def test_votes_go_on_after_a_reload_until_none_is_left(open_page, arena):
    pairs = pair_documents(arena, EARLY, LATE, "answers")
    samples = [arena.samples(run, "answers").set_index("doc_hash") for run in (EARLY, LATE)]
    differing = [
        hash_
        for hash_ in pairs["doc_hash"]
        if samples[0].loc[hash_, "answer"] != samples[1].loc[hash_, "answer"]
    ]
    judged = []
    for _ in differing:
        app = click(open_page("arena", arena, rater="ann", task="answers"), "Tie")
        judged = list(read_votes(arena).rows["doc_hash"])
    assert judged == differing
    assert app.success[0].value.startswith("You have judged every pair")
    other = open_page("arena", arena, rater="bob", task="answers")
    assert "0 judged by you" in texts(other)


def test_marks_are_kept_with_the_vote(open_page, arena):
    app = open_page("arena", arena, rater="ann", task="answers")
    next(g for g in app.button_group if g.label == "Fluency of A").set_value(4)
    app.run()
    click(app, "Both bad")
    row = read_votes(arena).rows.iloc[0]
    side = row["left"]
    assert row[f"fluency_{side}"] == 4
    assert row["verdict"] == "both bad"


def test_results_are_shown_when_asked_for(open_page, arena):
    for rater, label in (("ann", "A is better"), ("bob", "Tie"), ("cy", "B is better")):
        click(open_page("arena", arena, rater=rater, task="answers"), label)
    app = open_page("arena", arena, rater="ann", task="answers")
    assert not tables(app)
    app = open_page("arena", arena, rater="ann", task="answers", results="true")
    table = tables(app)[0]
    assert set(table["label"]) == {"early", "late"}
    assert list(table["votes"]) == [3, 3]
    assert "3 votes by 3 raters." in texts(app)


def test_a_store_without_texts(open_page, tmp_path):
    make_store(tmp_path, tasks=["facts"], n=8)
    app = open_page("arena", tmp_path, rater="ann")
    assert not app.exception
    assert "no texts for the same prompts" in texts(app)
    make_store(tmp_path / "one", runs=("only",), tasks=["answers"], n=8)
    assert "no two runs that generated texts" in texts(open_page("arena", tmp_path / "one"))


def test_a_vote_that_cannot_be_kept_is_told(open_page, arena, tmp_path):
    (tmp_path / ".votes").write_text("in the way")
    app = click(open_page("arena", arena, rater="ann", task="answers"), "Tie")
    assert not app.exception
    assert "could not be kept" in texts(app)


def test_hostile_texts_stay_text(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["answers"], n=12, hostile=True)
    app = open_page("arena", store, rater=HOSTILE[0], task="answers", results="true")
    for _ in range(4):
        click(app, "Tie")
        assert not app.exception
        read_as_markup = [e.value for kind in (app.markdown, app.caption) for e in kind]
        assert not any(nasty and nasty in text for nasty in HOSTILE for text in read_as_markup)
