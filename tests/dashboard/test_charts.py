"""What the charts of the pages say, and that no text of theirs is markup."""

import re

import pytest

from tests.dashboard.test_pages import charts, markup
from tests.stores import HOSTILE, make_store


def test_marks_are_the_scores_with_their_intervals(open_page, store):
    drawn = charts(open_page("leaderboard", store))
    told = dict(line.split(": ") for line in drawn["facts · acc_norm by run, with 95 % intervals"])
    for run in store.listing().runs:
        (row,) = store.scores([run.run_id], task="facts", metric="acc_norm").itertuples()
        shown = [float(text) for text in re.findall(r"[\d.]+", told[run.name])]
        assert shown == pytest.approx([row.value, row.ci_low, row.ci_high], rel=1e-3)


def test_a_place_is_the_share_of_the_axis(open_page, store):
    body = next(body for body in markup(open_page("leaderboard", store)) if "role" in body)
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


def test_names_are_text(open_page, tmp_path):
    store = make_store(tmp_path, runs={f"run-{n}": 0.5 for n in range(len(HOSTILE))}, n=8)
    for run, name in zip(store.listing().runs, HOSTILE, strict=True):
        store.write_manifest(run.model_copy(update={"name": name}))
    for page in ("leaderboard", "training", "gate"):
        bodies = "".join(markup(open_page(page, store)))
        assert "<script" not in bodies
        assert not re.search("<(?!/?(div|i|span|img)[ >])", bodies)
