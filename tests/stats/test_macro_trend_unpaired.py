"""Averages over tasks, trends over runs, and scores that cannot be paired."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from evalkit.stats import ScoreSummary, compare_scores, estimate, macro_average, trend
from evalkit.stats.jackknife import jackknife_stderr
from evalkit.stats.significance import johnson_p

RANDOM = np.random.default_rng(5)


def summary(values: np.ndarray) -> ScoreSummary:
    found = estimate(values, "mean")
    binary = found.method == "wilson"
    return ScoreSummary(found.value, found.stderr, found.ci_low, found.ci_high, len(values), binary)


def test_a_macro_average_of_two_tasks_is_welchs_interval() -> None:
    a, b = RANDOM.normal(1, 1, 20), RANDOM.normal(2, 3, 35)
    found = macro_average([a.mean(), -b.mean()], [stats.sem(a), stats.sem(b)], [20, 35])
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval()
    assert 2 * found.value == pytest.approx(a.mean() - b.mean())
    assert (2 * found.ci_low, 2 * found.ci_high) == pytest.approx(tuple(interval))
    assert found.p == pytest.approx(expected.pvalue)


def test_a_macro_average_without_error_or_tasks() -> None:
    assert macro_average([], [], []) is None
    found = macro_average([0.5, 0.7], [0.0, 0.0], [10, 10])
    assert (found.value, found.ci_low, found.ci_high, found.p) == (0.6, None, None, None)


def test_two_clusters_each_are_no_proof_however_alike_their_samples() -> None:
    """All wrong against all right, but in two families each: a permutation has p = 1/3."""
    wrong, right = ScoreSummary(0.0, 0.0, 0.0, 0.8, 2), ScoreSummary(1.0, 0.0, 0.2, 1.0, 2)
    assert compare_scores(wrong, right).p == pytest.approx(1 / 3)


def test_unpaired_means_get_welchs_test() -> None:
    a, b = RANDOM.normal(1, 1, 20), RANDOM.normal(2, 3, 35)
    found = compare_scores(summary(a), summary(b))
    assert found.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_unpaired_proportions_get_newcombes_interval_and_the_n_minus_1_test() -> None:
    a, b = (np.arange(40) < 12).astype(float), (np.arange(55) < 30).astype(float)
    found = compare_scores(summary(a), summary(b))
    expected = confint_proportions_2indep(30, 55, 12, 40, compare="diff", method="newcomb")
    assert (found.ci_low, found.ci_high) == pytest.approx(expected, abs=1e-6)
    table = [[12, 28], [30, 25]]
    chi2 = stats.chi2_contingency(table, correction=False).statistic
    assert found.p == pytest.approx(stats.chi2.sf(chi2 * 94 / 95, 1))


def test_a_trend_of_means_is_the_least_squares_slope() -> None:
    runs = [RANDOM.normal(step / 3, 1, 60) for step in range(5)]
    found = trend(runs, [0, 10, 20, 30, 40], "mean")
    line = stats.linregress([0, 10, 20, 30, 40], [run.mean() for run in runs])
    assert found.slope == pytest.approx(line.slope)
    assert found.ci_low < found.slope < found.ci_high
    assert found.p < 0.01


def test_a_trend_of_perplexities_resamples_documents() -> None:
    lls = RANDOM.normal(-60, 5, 80)
    runs = [np.column_stack([lls * factor, np.full(80, 20.0)]) for factor in (1.2, 1.1, 1.0)]
    found = trend(runs, [1, 2, 3], "weighted_perplexity", seed=1)
    assert found.slope < 0
    assert found.ci_high < 0
    assert found.p < 0.01
    flat = trend([runs[0]] * 3, [1, 2, 3], "weighted_perplexity", seed=1)
    assert flat.slope == pytest.approx(0)
    assert flat.p > 0.9


def test_no_trend_where_it_is_undefined() -> None:
    assert trend([[1.0], [0.0], [1.0]], [1, 2, 3], "mean") is None
    assert trend([[1.0, 0.0]] * 3, [2, 2, 2], "mean") is None


def test_the_jackknife_error_of_a_mean_is_its_standard_error() -> None:
    values = RANDOM.normal(size=(50, 1))
    found = jackknife_stderr(values, np.ones(50), lambda sums, n: sums[..., 0] / n)
    assert found == pytest.approx(stats.sem(values[:, 0]))


def test_johnsons_test_without_skewness_is_students() -> None:
    assert johnson_p(0.4, 0.2, 0.0, 30, 29) == pytest.approx(2 * stats.t.sf(2, 29))
    assert johnson_p(-0.4, 0.2, 1.0, 30, 29) > johnson_p(-0.4, 0.2, 0.0, 30, 29)
