"""Evidence that may be looked at after every sample keeps its level, and does not wait for ever."""

import math

import numpy as np
import pytest

from evalkit.stats.sequential import (
    Side,
    asymptotic_side,
    betting_evidence,
    bounded_side,
    sequence_reach,
)


def test_evidence_is_a_capital_and_only_grows_with_looks() -> None:
    gains = np.random.default_rng(0).choice([-1.0, 1.0], 300, p=[0.4, 0.6])
    heights = [betting_evidence(gains[:n], 1.0) for n in (0, 10, 100, 300)]
    assert heights[0] == 0
    assert heights == sorted(heights)
    assert betting_evidence(-np.ones(100), 1.0) == 0


def test_one_sure_win_multiplies_the_capital_as_the_bets_say() -> None:
    """Staking a share s of the capital on a gain of 1 at a floor of 1 gives 1 + s."""
    stakes = np.geomspace(0.03, 0.95, 16)
    assert betting_evidence(np.ones(1), 1.0) == pytest.approx(math.log(np.mean(1 + stakes)))


@pytest.mark.parametrize("n", [300])
def test_false_alarms_stay_below_the_level_however_often_one_looks(n: int) -> None:
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(400):
        gains = random.choice([-1.0, 0.0, 1.0], n, p=[0.15, 0.7, 0.15])
        alarms += betting_evidence(gains, 1.0) >= math.log(1 / 0.05)
    assert alarms / 400 <= 0.05


def test_asymptotic_sequences_keep_their_level() -> None:
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(300):
        values = random.exponential(size=400) - 1
        looks = range(50, 401, 10)
        alarms += any(
            asymptotic_side(values[:n].mean(), values[:n].std(ddof=1), n, 400, 0.05, 0.05)
            is Side.BEYOND
            for n in looks
        )
    assert alarms / 300 <= 0.05


def test_clear_cases_are_decided_early() -> None:
    random = np.random.default_rng(5)
    worse = random.choice([-1.0, 0.0, 1.0], 1_000, p=[0.05, 0.6, 0.35])
    assert bounded_side(worse[:100], -1.0, 1.0, 0.01, 0.05) is Side.BEYOND
    assert bounded_side(-worse[:100], -1.0, 1.0, 0.01, 0.05) is Side.WITHIN
    assert bounded_side(worse[:5], -1.0, 1.0, 0.01, 0.05) is None
    assert asymptotic_side(0.3, 0.5, 100, 1_000, 0.01, 0.05) is Side.BEYOND
    assert asymptotic_side(-0.3, 0.5, 100, 1_000, 0.01, 0.05) is Side.WITHIN
    assert asymptotic_side(0.3, 0.5, 20, 1_000, 0.01, 0.05) is None


def test_the_reach_of_a_sequence_is_wider_than_a_single_looks() -> None:
    assert sequence_reach(1.0, 100, 1_000, 0.025) > 1.96 / 10
    assert sequence_reach(1.0, 400, 1_000, 0.025) < sequence_reach(1.0, 100, 1_000, 0.025)
