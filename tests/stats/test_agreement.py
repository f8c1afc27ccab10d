"""Krippendorff's alpha and Bradley-Terry against published implementations and examples."""

import krippendorff
import numpy as np
import pytest
import statsmodels.api as sm

from evalkit.stats.bradley_terry import bradley_terry
from evalkit.stats.krippendorff import krippendorff_alpha

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example C: four observers, twelve
# units, some ratings missing.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [[value for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_the_published_example(level, published):
    found = krippendorff_alpha(UNITS, level)
    assert found.alpha == pytest.approx(published, abs=0.0006)
    assert found.ci_low < found.alpha < found.ci_high
    assert (found.units, found.ratings) == (11, 40)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_package(level, seed):
    random = np.random.default_rng(seed)
    truth = random.integers(1, 6, 40)
    ratings = np.clip(truth + random.integers(-1, 2, (4, 40)), 1, 5).astype(float)
    ratings[random.random(ratings.shape) < 0.3] = np.nan
    expected = krippendorff.alpha(ratings, level_of_measurement=level)
    units = [[value for value in unit if value == value] for unit in ratings.T]
    assert krippendorff_alpha(units, level).alpha == pytest.approx(expected, abs=1e-9)


def test_alpha_of_full_agreement_and_of_none():
    assert krippendorff_alpha([["a", "a"], ["b", "b"], ["a", "a"]]).alpha == 1
    assert krippendorff_alpha([["a", "b"], ["b", "a"], ["a", "b"]]).alpha < 0
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]).alpha is None
    assert krippendorff_alpha([["a"], ["b"]]).alpha is None
    assert krippendorff_alpha([]).units == 0


def test_the_interval_of_alpha_has_a_seed():
    first, second = (krippendorff_alpha(UNITS, seed=seed) for seed in (3, 3))
    assert first == second
    assert krippendorff_alpha(UNITS, seed=4).ci_low != first.ci_low


# Agresti, "Categorical data analysis", table 11.10: American League baseball 1987, wins at home and
# away together; abilities relative to Baltimore as published in section 11.6.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
WINS = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]
PUBLISHED = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]


def games_of(wins, names):
    return [
        (names[i], names[j], 1.0)
        for i in range(len(names))
        for j in range(len(names))
        for _ in range(wins[i][j])
    ]


def test_abilities_of_the_published_example():
    found = bradley_terry(games_of(WINS, TEAMS))
    baltimore = found["Baltimore"].ability
    assert [found[team].ability - baltimore for team in TEAMS] == pytest.approx(
        PUBLISHED, abs=0.006
    )
    assert list(found) == TEAMS
    assert sum(strength.ability for strength in found.values()) == pytest.approx(0, abs=1e-9)


def random_games(seed, players=4, games=300):
    random = np.random.default_rng(seed)
    ability = random.normal(size=players)
    rows, clusters = [], []
    for number in range(games):
        i, j = random.choice(players, 2, replace=False)
        chance = 1 / (1 + np.exp(ability[j] - ability[i]))
        share = 0.5 if random.random() < 0.15 else float(random.random() < chance)
        rows.append((int(i), int(j), share))
        clusters.append(number // 3)
    return rows, clusters


@pytest.mark.parametrize("seed", range(3))
def test_abilities_and_errors_are_those_of_a_clustered_regression(seed):
    """The contrast to player 0 is a logistic regression without intercept."""
    games, clusters = random_games(seed)
    design = np.zeros((len(games), 4))
    for row, (i, j, _) in enumerate(games):
        design[row, i], design[row, j] = 1, -1
    won = [share for *_, share in games]
    fit = sm.GLM(won, design[:, 1:], family=sm.families.Binomial()).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.array(clusters), "use_correction": False},
    )
    found = bradley_terry(games, clusters)
    contrast = [found[player].ability - found[0].ability for player in (1, 2, 3)]
    assert contrast == pytest.approx(list(fit.params), abs=1e-6)
    # From contrasts to abilities about their mean.
    centre = np.vstack([-np.ones(3), 4 * np.eye(3) - 1]) / 4
    units = len(set(clusters))
    errors = np.sqrt(np.diag(centre @ fit.cov_params() @ centre.T) * units / (units - 1))
    for player in range(4):
        width = found[player].ci_high - found[player].ability
        assert width == pytest.approx(1.959964 * errors[player], rel=1e-5)


def test_two_players_are_a_binomial():
    games = [("a", "b", 1.0)] * 30 + [("a", "b", 0.0)] * 10
    found = bradley_terry(games)
    assert found["a"].ability - found["b"].ability == pytest.approx(np.log(3))
    assert list(found) == ["a", "b"]


def test_who_never_lost_has_no_ability():
    games = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "b", 1.0)]
    assert all(strength.ability is None for strength in bradley_terry(games).values())
    apart = [("a", "b", 0.5), ("c", "d", 0.5)]
    assert all(strength.ability is None for strength in bradley_terry(apart).values())
    assert bradley_terry([]) == {}


def test_ties_only_are_even():
    found = bradley_terry([("a", "b", 0.5)] * 4)
    assert [strength.ability for strength in found.values()] == pytest.approx([0, 0])


def test_clusters_that_all_say_the_same_have_no_interval():
    games = [("a", "b", 1.0), ("a", "b", 0.0)] * 5
    found = bradley_terry(games, clusters=[0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    assert found["a"].ability == pytest.approx(0)
    assert found["a"].ci_low is None
    assert bradley_terry(games)["a"].ci_low < 0


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(1)
    truth = np.array([0.6, 0.0, -0.6])
    held = []
    for _ in range(400):
        games = []
        for _ in range(150):
            i, j = random.choice(3, 2, replace=False)
            won = random.random() < 1 / (1 + np.exp(truth[j] - truth[i]))
            games.append((int(i), int(j), float(won)))
        found = bradley_terry(games)[0]
        held.append(found.ci_low <= truth[0] <= found.ci_high)
    assert 0.92 <= np.mean(held) <= 0.98
