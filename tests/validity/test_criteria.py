"""A probe counts where it follows its own effect and no other."""

import os
from functools import partial
from itertools import combinations

import pandas as pd
import pytest

from evalkit.errors import EvaluationError, UsageError
from evalkit.validity import PLANTED, Planted, StudySettings, cells, judge, measure
from evalkit.validity import study as study_module
from evalkit.validity.planted import chosen

MINE = Planted("rude_share", "toxic", "rate")
OTHER = Planted("false_facts", "truth", "auroc", rises=False)


def row(planted, seed, value, task="toxic", metric="rate", half=0.05):
    alone = next(iter(planted)) if len(planted) == 1 else None
    levels = {knob: planted.get(knob, 0.0) for knob in ("rude_share", "false_facts")}
    return levels | {
        "cell": f"{planted}-{seed}", "alone": alone, "seed": seed, "task": task, "metric": metric,
        "value": value, "stderr": half / 2, "ci_low": value - half, "ci_high": value + half,
        "n": 100, "n_clusters": None,
    }  # fmt: skip


def study(values, other=(0.11, 0.09)):
    rows = [
        row({"rude_share": level} if level else {}, seed, value)
        for level, pair in values.items()
        for seed, value in enumerate(pair)
    ]
    rows += [row({"false_facts": 1.0}, seed, value) for seed, value in enumerate(other)]
    return pd.DataFrame(rows)


GOOD = {0.0: (0.1, 0.1), 0.5: (0.4, 0.5), 1.0: (0.9, 0.8)}


def verdict(figures, planted=(MINE, OTHER)):
    return judge(planted, figures)[0]


def test_a_probe_that_follows_its_effect_and_no_other_counts():
    found = verdict(study(GOOD))
    assert found.correlation > 0.9
    assert found.apart is True
    assert [move.knob for move in found.moves] == ["false_facts"]
    assert found.holds


def test_one_that_does_not_rise_does_not():
    found = verdict(study({0.0: (0.1, 0.1), 0.5: (0.9, 0.8), 1.0: (0.4, 0.5)}))
    assert found.correlation < 0.9
    assert not found.holds


def test_one_whose_intervals_meet_does_not():
    found = verdict(study({0.0: (0.1, 0.1), 0.5: (0.12, 0.13), 1.0: (0.15, 0.16)}))
    assert found.correlation > 0.9
    assert found.apart is False
    assert not found.holds


def test_one_that_another_effect_moves_does_not():
    found = verdict(study(GOOD, other=(0.3, 0.4)))
    assert not found.moves[0].is_within
    assert not found.holds


def test_a_figure_that_has_to_fall_is_judged_the_other_way_round():
    rows = [row({}, 0, 0.8, "truth", "auroc")]
    rows += [row({"false_facts": x}, 0, 0.8 - x / 2, "truth", "auroc") for x in (0.5, 1.0)]
    found = verdict(pd.DataFrame(rows), (OTHER,))
    assert found.correlation == pytest.approx(1.0)
    assert found.apart is True


def test_a_probe_is_followed_among_other_effects():
    mixed = [row({"rude_share": x, "false_facts": 1 - x}, 0, x) for x in (0.25, 0.75)]
    found = verdict(pd.concat([study(GOOD), pd.DataFrame(mixed)]))
    assert found.holds
    wrong = [row({"rude_share": x, "false_facts": 1 - x}, 0, 1 - x) for x in (0.25, 0.75)]
    assert verdict(pd.concat([study(GOOD), pd.DataFrame(wrong)])).correlation < found.correlation


def test_each_effect_meets_each_level_and_none_goes_with_another(tmp_path):
    levels = (0.0, 0.25, 0.5, 0.75, 1.0)
    settings = StudySettings(tmp_path, PLANTED, levels, range(2), {})
    found = cells(settings)
    assert len({cell.name for cell in found}) == len(found) == 2 * (1 + 4 + 3)
    knobs = [planted.knob for planted in PLANTED]
    for seed in range(2):
        own = [cell for cell in found if cell.seed == seed]
        for knob in knobs:
            met = [
                c.planted.get(knob, 0.0) for c in own if len(c.planted) != 1 or knob in c.planted
            ]
            assert sorted(met) == list(levels)
    mixed = [cell.planted for cell in found if len(cell.planted) == 4]
    for one, two in combinations(knobs, 2):
        assert any(planted[one] != planted[two] for planted in mixed)


def test_impossible_studies_are_refused(tmp_path):
    for levels in ((0.5, 1.0), (0.0,), (0.0, 1.0, 0.5)):
        with pytest.raises(UsageError, match="--levels"):
            cells(StudySettings(tmp_path, (MINE,), levels, range(1), {}))
    with pytest.raises(UsageError, match="knob"):
        chosen(["rudeness"])


def test_a_process_that_is_killed_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "_one_thread", partial(os._exit, 1))
    settings = StudySettings(tmp_path, [MINE], [0, 1], [1], {})
    with pytest.raises(EvaluationError, match="ended from outside"):
        list(measure(settings, tmp_path / "detector", jobs=2))
