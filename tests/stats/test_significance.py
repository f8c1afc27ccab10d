"""Tests and corrections against scipy and statsmodels; no p-value is 0."""

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from evalkit.metrics import AGGREGATIONS
from evalkit.stats import (
    benjamini_hochberg,
    binomial_p,
    holm,
    mcnemar_p,
    minimal_detectable_effect,
    randomization_p,
    sample_size,
    sign_flip_p,
    t_p,
    tango_interval,
    tango_p,
)
from evalkit.stats.intervals import tango_z

RANDOM = np.random.default_rng(5)
P_VALUES = [
    [0.0, 1.0, 1.0],
    [0.04, 0.01, 0.01, 0.03],
    *(RANDOM.random(n) ** 3 for n in range(1, 13)),
]


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (3, 0), (1, 9), (20, 12), (400, 330)])
def test_mcnemar_is_statsmodels_exact_one(wins: int, losses: int) -> None:
    expected = mcnemar([[50, wins], [losses, 50]], exact=True).pvalue
    assert mcnemar_p(wins, losses) == pytest.approx(expected)


@pytest.mark.parametrize(("successes", "n", "null"), [(0, 10, 0.3), (10, 10, 0.3), (4, 9, 0.2)])
def test_binomial_doubles_the_smaller_tail_of_scipy(successes: int, n: int, null: float) -> None:
    tails = [
        stats.binomtest(successes, n, null, alternative=side).pvalue for side in ("less", "greater")
    ]
    assert binomial_p(successes, n, null) == pytest.approx(min(1, 2 * min(tails)))


def test_t_is_scipys() -> None:
    values = RANDOM.normal(0.3, 1, 20)
    assert t_p(values.mean(), stats.sem(values), 19) == pytest.approx(
        stats.ttest_1samp(values, 0).pvalue
    )


@pytest.mark.parametrize(("wins", "losses"), [(3, 1), (12, 30), (5, 0)])
def test_tango_without_margin_is_mcnemars_chi_square(wins: int, losses: int) -> None:
    expected = mcnemar([[50, wins], [losses, 50]], exact=False, correction=False).pvalue
    assert tango_p(wins, losses, 200, 0.0) == pytest.approx(expected)


@pytest.mark.parametrize(("wins", "losses", "null"), [(3, 9, -0.02), (0, 7, -0.05), (8, 2, 0.1)])
def test_tango_uses_the_restricted_likelihood(wins: int, losses: int, null: float) -> None:
    n = 100

    def minus_loglikelihood(loss_rate: float) -> float:
        win_rate = loss_rate + null
        ties = (n - wins - losses) * np.log(1 - win_rate - loss_rate)
        return -(wins * np.log(win_rate) + losses * np.log(loss_rate) + ties)

    bounds = (max(0.0, -null) + 1e-12, (1 - null) / 2 - 1e-12)
    fitted = optimize.minimize_scalar(
        minus_loglikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    variance = n * (2 * fitted + null - null**2)
    expected = (wins - losses - n * null) / np.sqrt(variance)
    assert tango_z(wins, losses, n, null) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("wins", "losses", "n"), [(0, 0, 50), (3, 9, 100), (5, 0, 5), (0, 40, 60)])
def test_tango_interval_holds_the_differences_that_the_test_allows(
    wins: int, losses: int, n: int
) -> None:
    low, high = tango_interval(wins, losses, n)
    assert -1 <= low <= (wins - losses) / n <= high <= 1
    assert high > low
    for end, outside in ((low, -1e-3), (high, 1e-3)):
        if abs(end) < 0.999:
            assert tango_p(wins, losses, n, end) == pytest.approx(0.05, abs=1e-6)
            assert tango_p(wins, losses, n, end + outside) < 0.05


def test_sign_flip_of_few_pairs_is_scipys_exact_permutation() -> None:
    differences = RANDOM.normal(0.4, 1, 9)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_sign_flip_of_many_pairs_is_near_the_t_test() -> None:
    differences = RANDOM.normal(0.15, 1, 300)
    assert sign_flip_p(differences) == pytest.approx(
        stats.ttest_1samp(differences, 0).pvalue, abs=0.01
    )


def test_sign_flip_flips_whole_clusters() -> None:
    differences, clusters = np.repeat([1.0, 2.0, 3.0], 20), np.repeat(["a", "b", "c"], 20)
    assert sign_flip_p(differences, clusters.tolist()) == pytest.approx(2 / 8)
    assert sign_flip_p(differences) < 0.001


def test_randomization_of_a_mean_is_the_sign_flip() -> None:
    a, b = RANDOM.normal(size=(2, 10, 1))
    found = randomization_p(a, b, np.ones(10), AGGREGATIONS["mean"])
    assert found == pytest.approx(sign_flip_p((b - a)[:, 0]))


def test_randomization_swaps_outputs_as_sacrebleu_would() -> None:
    a, b = RANDOM.integers(1, 9, (2, 8, 1)).astype(float)
    weights = RANDOM.integers(1, 5, (8, 1)).astype(float)
    a, b = np.hstack([-a, weights]), np.hstack([-b, weights])
    value = AGGREGATIONS["weighted_perplexity"].value
    effects = []
    for pattern in range(2**8):
        swap = ((pattern >> np.arange(8)) & 1).astype(bool)[:, None]
        left, right = np.where(swap, b, a).sum(axis=0), np.where(swap, a, b).sum(axis=0)
        effects.append(abs(value(right, np.array(8)) - value(left, np.array(8))))
    expected = np.mean(np.array(effects) >= effects[0] - 1e-12)
    found = randomization_p(a, b, np.ones(8), AGGREGATIONS["weighted_perplexity"])
    assert found == pytest.approx(expected)


def test_no_p_value_is_zero() -> None:
    assert sign_flip_p(np.ones(500), draws=99) == pytest.approx(1 / 100)
    assert mcnemar_p(0, 5000) > 0
    assert t_p(1.0, 0.0, 5) > 0
    assert tango_p(0, 90, 90, 0.5) > 0


def test_equal_runs_are_not_told_apart() -> None:
    assert sign_flip_p(np.zeros(20)) == 1.0
    assert mcnemar_p(0, 0) == 1.0
    assert t_p(0.0, 0.0, 5) == 1.0


@pytest.mark.parametrize("p_values", P_VALUES)
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@pytest.mark.parametrize("p_values", P_VALUES)
def test_benjamini_hochberg_is_statsmodels(p_values: list[float]) -> None:
    expected = list(multipletests(p_values, method="fdr_bh")[1])
    assert benjamini_hochberg(p_values) == pytest.approx(expected)


def test_corrections_of_nothing_are_nothing() -> None:
    assert holm([]) == benjamini_hochberg([]) == []


@pytest.mark.parametrize(("effect", "deviation"), [(0.02, 0.4), (0.5, 1.0), (-0.1, 0.3)])
def test_sample_size_and_effect_are_statsmodels(effect: float, deviation: float) -> None:
    expected = NormalIndPower().solve_power(
        effect_size=abs(effect) / deviation, alpha=0.05, power=0.8, ratio=0
    )
    n = sample_size(effect, deviation)
    assert n == pytest.approx(expected, abs=1)
    assert minimal_detectable_effect(deviation / np.sqrt(n)) == pytest.approx(abs(effect), rel=0.02)


def test_no_effect_needs_no_number_of_samples() -> None:
    assert sample_size(0.0, 1.0) is None
