"""What the charts of the pages say, and that no text of theirs is markup."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from evalkit.paths import bundled
from tests.dashboard.content import add_verdicts, enrich
from tests.dashboard.shown import ROLE, charts, markup
from tests.results.test_safety import put_in_family
from tests.stores import HOSTILE, make_store

QUOTE = 'x" onmouseover="alert(1)'


def test_marks_are_the_scores_with_their_intervals(open_page, store):
    drawn = charts(open_page("leaderboard", store))
    told = dict(line.split(": ") for line in drawn["facts · acc_norm by run, with 95 % intervals"])
    for run in store.listing().runs:
        (row,) = store.scores([run.run_id], task="facts", metric="acc_norm").itertuples()
        shown = [float(text) for text in re.findall(r"[\d.]+", told[run.name])]
        assert shown == pytest.approx([row.value, row.ci_low, row.ci_high], rel=1e-3)


def test_a_place_is_the_share_of_the_axis(open_page, store):
    body = next(body for body in markup(open_page("leaderboard", store)) if ROLE in body)
    body = body.split(ROLE)[1]
    ticks = {
        float(text): float(left)
        for left, text in re.findall(r"left: ([\d.]+)%; top: 3px; [^>]*>([\d.]+)<", body)
    }
    (low, left), *_, (high, right) = sorted(ticks.items())
    dots = re.findall(r'title="[^:]*: ([\d.]+) .*?left: calc\(([\d.]+)% - 5px\)', body)
    assert dots
    for value, place in dots:
        share = (float(value) - low) / (high - low)
        assert float(place) == pytest.approx(left + share * (right - left), abs=0.1)


ATTRIBUTES = {"style", "title", "role", "aria-label", "alt", "src", "tabindex"}


class Reader(HTMLParser):
    """Elements and attributes as a browser reads them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attributes}


@pytest.mark.parametrize("page", ["leaderboard", "compare", "training", "safety", "speed", "gate"])
def test_names_are_text(open_page, page, tmp_path):
    runs = {"early": 0.5, "late": 0.6}
    store = make_store(tmp_path, runs=runs, tasks=["facts", "latency"], n=20, hostile=True)
    add_verdicts(enrich(store, HOSTILE[0]), f"{HOSTILE[0]} {QUOTE}")
    put_in_family(store, {"facts": "bias"})
    for run in store.listing().runs:
        store.write_manifest(run.model_copy(update={"name": f"{run.name} {QUOTE} {HOSTILE[0]}"}))
    app = open_page(page, store)
    assert not app.exception
    assert charts(app)
    read = Reader("".join(markup(app)))
    assert read.elements <= {"div", "i", "span", "img", "mark"}
    assert read.attributes <= ATTRIBUTES


@pytest.fixture
def drawing(monkeypatch):
    """The modules that draw."""
    monkeypatch.syspath_prepend(str(bundled("dashboard")))
    from parts import charts, frame, intervals

    return charts, frame, intervals


def test_what_is_undefined_is_no_mark(drawing):
    _, _, intervals = drawing
    rows = pd.DataFrame({"label": ["a", "b"], "value": [0.5, np.nan], "mark": ""})
    rows = rows.assign(ci_low=[0.4, np.nan], ci_high=[np.inf, np.nan])
    drawn = intervals.intervals(rows, ["a", "b"], "two")
    assert 'title="a: 0.5"' in drawn
    assert 'title="b: undefined"' in drawn
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_ticks_are_told_in_full_and_apart(drawing):
    _, frame, _ = drawing
    for ends in (
        (1.2, 1.21),
        (100_000, 101_000),
        (0, 1500),
        (1e-6, 4e-6),
        (-3, 2),
        (107_000, 118e3),
    ):
        axis = frame.number_axis(ends)
        texts = [text for _, text in axis.ticks]
        sizes = {"k": 1e3, "M": 1e6}
        read = [float(t.rstrip("kM")) * sizes.get(t[-1], 1) for t in texts]
        assert len(set(texts)) == len(texts) >= 2
        assert read == pytest.approx([place for place, _ in axis.ticks])


def test_one_moment_alone_stands_within_its_day(drawing):
    charts, frame, _ = drawing
    rows = pd.DataFrame({"position": [pd.Timestamp("2026-03-01 12:00", tz="UTC")], "value": 1.0})
    rows = rows.assign(ci_low=np.nan, ci_high=np.nan, curve="margin", label="late", marked=True)
    drawn = charts.curves(rows, "alone", x="", level=0, when=True)
    assert "01 Mar 2026 12:00: 1" in drawn
    ticks = [text for _, text in frame.time_axis(rows["position"]).ticks]
    assert all(text.startswith("01 Mar 1") for text in ticks)
