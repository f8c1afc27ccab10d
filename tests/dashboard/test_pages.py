"""Every page on a generated store, without a browser: the figures shown are those stored."""

import re
import subprocess
import sys

import pytest

from evalkit.paths import bundled
from evalkit.results import compare, flips
from tests.dashboard.shown import blocks, markup, tables, texts
from tests.stores import HOSTILE, make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"
PAGES = ["leaderboard", "compare", "samples", "training", "safety"]
PAGES += ["speed", "gate", "arena", "tasks"]


def choose(app, label, value):
    """Choose in the select box of this label and run again."""
    next(box for box in app.selectbox if box.label == label).set_value(value)
    return app.run()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(open_page, store, page):
    app = open_page(page, store)
    assert not app.exception
    assert not app.error
    assert app.title[0].value == page.capitalize()


def test_the_leaderboard_shows_the_stored_figures(open_page, store):
    app = open_page("leaderboard", store)
    shown = tables(app, "title")[0].set_index("Run")
    scores = store.scores().set_index(["run_id", "task", "metric"])
    checked = 0
    for column in shown.columns.drop("Date"):
        task, metric = column.rsplit(" ", 1)[0].split(" · ")
        for name, run_id in (("early", EARLY), ("late", LATE)):
            figures = [float(text) for text in re.findall(r"\d+\.\d+", shown.loc[name, column])]
            score = scores.loc[(run_id, task, metric)]
            expected = [score["value"], score["ci_low"], score["ci_high"]]
            assert figures == pytest.approx(expected, abs=0.0051 if figures[1] >= 1 else 0.00051)
            checked += 1
    assert checked == 10


def test_the_leaderboard_never_mixes_raw_and_normalised(open_page, store):
    app = open_page("leaderboard", store)
    assert not [name for name in tables(app, "title")[0].columns if " · acc ↑" in name]
    columns = tables(open_page("leaderboard", store, metric="acc"), "title")[0].columns
    assert [name for name in columns if "·" in name] == ["facts · acc ↑", "passages · acc ↑"]


def test_the_leaderboard_from_a_link(open_page, store):
    app = open_page("leaderboard", store, family="perplexity", sort="stories · word_perplexity")
    table = tables(app, "title")[0]
    assert list(table["Run"]) == ["late", "early"]
    assert [name for name in table.columns if "·" in name] == ["stories · word_perplexity ↓"]


def test_the_leaderboard_is_searched(open_page, store):
    assert list(tables(open_page("leaderboard", store, find="EARLY"), "title")[0]["Run"]) == [
        "early"
    ]
    columns = tables(open_page("leaderboard", store, find="passages"), "title")[0].columns
    assert [name for name in columns if "·" in name] == ["passages · acc_norm ↑"]
    assert "No run and task fit" in texts(open_page("leaderboard", store, find="nothing here"))


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ({}, ["late", "early"]),
        ({"sort": "-date"}, ["early", "late"]),
        ({"sort": "run"}, ["early", "late"]),
        ({"sort": "-run"}, ["late", "early"]),
        ({"sort": "stories · word_perplexity"}, ["late", "early"]),
        ({"sort": "-stories · word_perplexity"}, ["early", "late"]),
        ({"sort": "facts · acc_norm"}, ["late", "early"]),
        ({"sort": "no such figure"}, ["late", "early"]),
        ({"sort": "-no such figure"}, ["late", "early"]),
    ],
)
def test_the_leaderboard_is_sorted_by_its_link(open_page, store, query, labels):
    app = open_page("leaderboard", store, **query)
    assert not app.exception
    assert list(tables(app, "title")[0]["Run"]) == labels


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ({"since": "2026-01-02"}, ["late"]),
        ({"until": "2026-01-01"}, ["early"]),
        ({"model": "early"}, ["early"]),
    ],
)
def test_the_leaderboard_is_filtered_by_its_link(open_page, store, query, labels):
    app = open_page("leaderboard", store, **query)
    assert not app.exception
    assert list(tables(app, "title")[0]["Run"]) == labels


def test_the_leaderboard_of_some_tasks(open_page, store):
    columns = tables(open_page("leaderboard", store, tasks=["facts", "stories"]), "title")[
        0
    ].columns
    assert [name.split(" ")[0] for name in columns if "·" in name] == ["facts", "stories"]


def test_the_leaderboard_by_suites(open_page, tmp_path):
    store = make_store(tmp_path, tasks=["facts", "passages"], n=20)
    suites = {"both": ["facts", "passages"]}
    for run in (EARLY, LATE):
        store.write_manifest(store.resolve(run).model_copy(update={"suites": suites}))
    app = open_page("leaderboard", store, by="suites")
    table = tables(app, "title")[0].set_index("Run")
    assert list(table.columns) == ["both · acc_norm · 2 tasks ↑", "Date"]
    mean = store.scores([LATE], metric="acc_norm")["value"].mean()
    assert table.iloc[0, 0].strip().startswith(f"{mean:.3f} (")
    assert "plain mean of one metric" in texts(app)


def test_the_differences_are_those_of_the_library(open_page, store):
    app = open_page("compare", store, a=EARLY, b=LATE, metrics="all")
    shown = tables(app)[0].set_index("figure")
    found = compare(EARLY, LATE, store)
    assert len(shown) == len(found.differences) == 9
    for row in found.differences:
        line = shown.loc[f"{row.task} · {row.metric}"]
        figures = [float(text) for text in re.findall(r"[+-]?\d+\.\d+", line["difference"])]
        expected = [row.difference, row.ci_low, row.ci_high]
        assert figures == pytest.approx(expected, abs=0.0051 if abs(row.baseline) >= 1 else 0.00051)
        assert (line["wins"], line["losses"], line["n"]) == (row.wins, row.losses, row.n)
        better = row.significant() and row.gain > 0
        assert (line["standing"] == "▲ B better") == better
    assert any(row.significant() for row in found.differences)
    assert len(tables(open_page("compare", store, a=EARLY, b=LATE))[0]) == 5


def test_the_samples_that_changed_are_listed_losses_first(open_page, store):
    app = open_page("compare", store, a=EARLY, b=LATE, of="answers · exact_match")
    lost, won = (
        [flip.doc_id for flip in flips(compare(EARLY, LATE, store), "answers") if flip.outcome == o]
        for o in ("lost", "won")
    )
    assert lost and won
    assert tables(app)[1]["doc"].tolist() == [*lost, *won][:16]


def test_only_what_differs_between_the_runs_is_shown(open_page, store):
    app = open_page("compare", store, a=EARLY, b=LATE)
    settings = tables(app)[2]["setting"].tolist()
    assert "model.weights_hash" in settings
    assert "model.tokenizer_hash" not in settings


def test_runs_that_cannot_be_compared_are_a_sentence(open_page, tmp_path):
    make_store(tmp_path, runs=("plain",), tasks=["facts"], n=8)
    make_store(tmp_path / "other", runs=("apart",), tasks=["answers"], n=8)
    folder = next((tmp_path / "other").iterdir())
    folder.rename(tmp_path / "20260105-000000-apart")
    manifest = tmp_path / "20260105-000000-apart" / "run.json"
    manifest.write_text(manifest.read_text().replace(folder.name, "20260105-000000-apart"))
    app = open_page("compare", tmp_path)
    assert not app.exception
    assert "cannot be compared" in texts(app)
    assert "no task in common" in texts(app)
    same = open_page("compare", tmp_path, a="20260105-000000-apart")
    assert "Choose two different runs" in texts(same)


def test_samples_of_the_link_are_shown(open_page, store):
    app = open_page("samples", store, a=EARLY, b=LATE, task="answers", outcome="won")
    both = [
        store.samples(run, "answers")["statistics"].map(lambda row: row["exact_match"][0])
        for run in (EARLY, LATE)
    ]
    won = ((both[0] == 0) & (both[1] == 1)).to_numpy().nonzero()[0].tolist()
    assert tables(app)[0]["doc"].tolist() == won[:12]
    assert f"{len(won)} won" in texts(app)
    assert set(tables(app)[0]["flip"]) == {"▲ won"}


def test_a_deep_link_shows_that_sample(open_page, store):
    app = open_page("samples", store, a=LATE, task="facts", doc="31")
    sample = store.samples(LATE, "facts").set_index("doc_id").loc[31]
    assert "Sample 31" in texts(app)
    assert sample["prompt"] in blocks(app)
    choices = tables(app)[1]
    assert choices["choice"].tolist() == list(sample["choices"])
    shown = [float(text.split()[0]) for text in choices["run0"]]
    assert shown == pytest.approx(list(sample["loglikelihoods"]), abs=0.006)


def test_what_two_runs_said_differently_is_marked(open_page, store):
    both = [store.samples(run, "translation").set_index("doc_id") for run in (EARLY, LATE)]
    doc = next(i for i in both[0].index if both[0]["answer"][i] != both[1]["answer"][i])
    app = open_page("samples", store, a=EARLY, b=LATE, task="translation", doc=str(doc))
    first = blocks(app).index(both[0]["responses"][doc][0])
    for place, sample in ((first, both[0]), (first + 2, both[1])):
        assert blocks(app)[place] == sample["responses"][doc][0]
        assert "<mark" in markup(app)[place]
    alone = open_page("samples", store, a=EARLY, task="translation", doc=str(doc))
    assert not any("<mark" in body for body in markup(alone))


def test_marked_hostile_text_is_escaped(open_page, hostile):
    for doc in range(len(HOSTILE)):
        app = open_page("samples", hostile, a=EARLY, b=LATE, task="answers", doc=str(doc))
        for body in markup(app):
            assert set(re.findall("</?[a-z!]+", body)) <= {"<div", "</div", "<mark", "</mark"}


def test_a_sample_that_does_not_exist_is_told(open_page, store):
    assert "no sample of that number" in texts(open_page("samples", store, doc="9999"))
    assert not open_page("samples", store, doc="none", page="x", a="gone", task="gone").exception


def test_samples_are_read_a_page_at_a_time(open_page, store):
    first = open_page("samples", store, a=EARLY, task="facts")
    assert tables(first)[0]["doc"].tolist() == list(range(12))
    last = open_page("samples", store, a=EARLY, task="facts", page="4")
    assert tables(last)[0]["doc"].tolist() == list(range(36, 40))


def test_samples_are_searched(open_page, store):
    app = open_page("samples", store, a=EARLY, task="facts", text="baker 7 ")
    assert tables(app)[0]["doc"].tolist() == [7]


def test_another_task_forgets_the_sample_of_the_first(open_page, store):
    app = open_page("samples", store, a=EARLY, task="facts", doc="5")
    assert "Sample 5" in texts(app)
    app = choose(app, "Task", "answers")
    assert "Sample 0" in texts(app)
    assert app.query_params.get("task") in ("answers", ["answers"])


def test_tasks_are_listed_with_one_prompt(open_page, store):
    app = open_page("tasks", store, task="passages")
    table = tables(app)[0].set_index("task")
    assert table.loc["facts", "metric"] == "acc_norm"
    assert table.loc["facts", "documents"] == 40
    assert table.loc["stories", "family"] == "perplexity"
    assert store.samples(LATE, "passages")["prompt"][0] in blocks(app)


@pytest.mark.parametrize("page", PAGES)
def test_hostile_text_reaches_no_markup(open_page, hostile, page):
    """Every hostile string stands where Streamlit reads plain text, or is escaped."""
    app = open_page(page, hostile)
    assert not app.exception
    read_as_markup = [element.value for kind in (app.markdown, app.caption) for element in kind]
    for text in read_as_markup:
        assert not any(nasty and nasty in text for nasty in HOSTILE)
        assert "\x1b" not in text
    for table in tables(app, "title"):
        shown = [*table.columns, *map(str, table.to_numpy().ravel())]
        assert not any(sign in text for text in shown for sign in "\x1b\x00\u202e")


def test_hostile_text_is_shown_as_it_is(open_page, hostile):
    shown = [
        block
        for doc in range(len(HOSTILE))
        for block in blocks(open_page("samples", hostile, task="answers", doc=str(doc)))
    ]
    for nasty in (HOSTILE[0], HOSTILE[1]):
        assert any(nasty in text for text in shown)
    assert any("⟨U+001B⟩[31mred⟨U+001B⟩[0m ⟨U+0007⟩bell ⟨U+0000⟩null" in text for text in shown)
    assert any("⟨U+202E⟩" in text for text in shown)


def test_a_token_is_asked_for_where_one_is_set(open_page, store, monkeypatch):
    monkeypatch.setenv("EVALKIT_DASHBOARD_TOKEN", "open sesame")
    app = open_page("leaderboard", store)
    assert not tables(app)
    assert not app.title
    app.text_input[0].set_value("wrong")
    app.button[0].click().run()
    assert app.error[0].value == "That is not the token."
    assert not tables(app)
    app.text_input[0].set_value("open sesame")
    app.button[0].click().run()
    assert app.title[0].value == "Leaderboard"


def test_no_page_needs_torch():
    code = "import sys, parts.data, parts.sample, parts.charts; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=bundled("dashboard"), check=True)


def test_a_figure_that_cannot_be_paired_is_not_called_a_tie(open_page, tmp_path):
    make_store(tmp_path, tasks=["facts", "latency"], n=10)
    table = tables(open_page("compare", tmp_path))[0].set_index("figure")
    latency = table.loc["latency · first_token_p50"]
    assert latency["standing"] == "not tested"
    assert latency["p"] == "–"
