"""Factuality: beliefs about statements that are put in several ways."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from evalkit.probes import Factuality, MicroFactuality
from evalkit.probes.placements import auroc_parts
from evalkit.stats import bounded_interval, estimate
from evalkit.types import Response, Score
from tests.probes.answers import likely


def answers(document, tables, text="nothing"):
    """Log-likelihoods by way and value, and what was written freely."""
    return (*likely(*np.ravel(tables)), Response(text=text))


def test_parts_have_the_auroc_of_scikit_learn_as_their_mean():
    random = np.random.default_rng(0)
    for digits in (1, 8):  # with one digit there are ties
        true, false = random.normal(0.5, 1, 60).round(digits), random.normal(0, 1, 60).round(digits)
        parts = auroc_parts(true, false)
        expected = roc_auc_score([1] * 60 + [0] * 60, np.concatenate([true, false]))
        assert parts.mean() == pytest.approx(expected, abs=1e-12)


def test_intervals_of_the_auroc_hold_the_true_one():
    random = np.random.default_rng(1)
    truth = 0.7602499389065233  # of normals one deviation apart: Phi(1 / sqrt 2)
    held = 0
    for _ in range(300):
        shared = random.normal(0, 0.7, 80)
        spread = np.sqrt(1 - 0.7**2)
        true = shared + random.normal(1, spread, 80)
        false = shared + random.normal(0, spread, 80)
        found = estimate(auroc_parts(true, false), "mean")
        held += found.ci_low <= truth <= found.ci_high
    assert 0.91 <= held / 300 <= 0.98


def test_intervals_of_a_high_auroc_hold_the_true_one():
    random = np.random.default_rng(1)
    truth, held, students = norm.cdf(3.4 / np.sqrt(2)), 0, 0
    for _ in range(300):
        subject = np.repeat(random.normal(0, 0.5, 30), 4)  # 30 clusters of 4
        spread = np.sqrt(1 - 0.5**2)
        true = subject + random.normal(3.4, spread, 120)
        false = subject + random.normal(0, spread, 120)
        parts = auroc_parts(true, false)
        found = estimate(parts, "mean", [n // 4 for n in range(120)])
        low, high = bounded_interval(found.value, found.stderr, 120, 30)
        held += low <= truth <= high
        students += found.ci_low <= truth <= found.ci_high
        assert 0 <= low < high <= 1
    assert students / 300 < 0.93 < held / 300


def test_the_interval_of_a_faultless_auroc_has_a_width():
    made = MicroFactuality()
    score = Score(
        "micro_factuality", "true_false_auroc", "none", 1.0, 0.0, 1.0, 1.0, 120, True,
        n_clusters=34, interval="cluster t",
    )  # fmt: skip
    (found,) = made.refine([score])
    assert found.ci_low == pytest.approx(34 / (34 + student.ppf(0.975, 33) ** 2))
    assert found.ci_high == 1.0


@pytest.mark.parametrize("probe", [Factuality, MicroFactuality])
def test_figures_of_a_known_answer(probe):
    made = probe()
    (document,) = made.documents(1, seed=0)
    right = document.content["answer"]
    other = (right + 1) % 4
    ways = np.full((3, 4), -9.0)
    ways[0, right] = ways[1, right] = ways[2, other] = -1.0
    (sample,) = made.score([document], [answers(document, ways, f" {document.target} indeed")])
    assert sample.statistics["acc"] == (pytest.approx(2 / 3),)
    assert sample.statistics["consistency"] == (pytest.approx(1 / 3),)
    assert sample.statistics["consistent_acc"] == (0.0,)
    assert sample.statistics["recall"] == (1.0,)
    assert sample.answer == document.target


@pytest.mark.parametrize("probe", [Factuality, MicroFactuality])
def test_data_names_a_true_and_another_false_value(probe):
    for document in probe().documents(None, seed=0):
        row = document.content
        assert row["answer"] != row["false"]
        assert len(set(row["values"])) == 4
        assert all(len(frame) == 2 and not frame[0].endswith(" ") for frame in row["frames"])


def test_micro_statements_are_true_and_no_held_out_question_asks_for_them():
    from evalkit.training.world import World

    world = World()
    asked = {fact.key for fact in world.held_out_lore}
    facts = {fact.key: fact for lore in world.lore.values() for fact in lore}
    myths = world.myths(1.0)
    for document in MicroFactuality().documents(None, seed=0):
        row = document.content
        key = f"{row['relation']} of {row['subject']}"
        assert key not in asked
        assert row["values"][row["answer"]] == facts[key].what
        assert row["values"][row["false"]] == myths[key]
