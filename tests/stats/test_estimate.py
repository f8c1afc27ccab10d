"""Intervals against scipy and statsmodels, and what is undefined."""

import time

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evalkit.stats import estimate, value_p, wilson_interval

RANDOM = np.random.default_rng(11)


@pytest.mark.parametrize(("successes", "n"), [(0, 30), (1, 30), (15, 30), (99, 100), (1000, 1000)])
def test_proportion_gets_wilsons_interval(successes: int, n: int) -> None:
    found = estimate(np.arange(n) < successes, "mean")
    assert found.method == "wilson"
    assert (found.value, found.n) == (successes / n, n)
    expected = proportion_confint(successes, n, method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx(expected, abs=1e-12)
    assert found.ci_low <= found.value <= found.ci_high


def test_wilson_follows_the_confidence() -> None:
    expected = proportion_confint(7, 20, alpha=0.2, method="wilson")
    assert wilson_interval(7, 20, confidence=0.8) == pytest.approx(expected)


def test_mean_gets_a_t_interval() -> None:
    values = RANDOM.normal(3, 2, 25)
    found = estimate(values, "mean", confidence=0.9)
    expected = stats.t.interval(0.9, 24, loc=values.mean(), scale=stats.sem(values))
    assert found.method == "t"
    assert found.stderr == pytest.approx(stats.sem(values))
    assert (found.ci_low, found.ci_high) == pytest.approx(expected)


@pytest.mark.parametrize("binary", [False, True])
def test_clusters_get_robust_errors_as_in_statsmodels(binary: bool) -> None:
    clusters = np.arange(96) % 12
    values = RANDOM.normal(size=12)[clusters] + RANDOM.normal(size=96)
    values = (values > 0).astype(float) if binary else values
    found = estimate(values, "mean", clusters.tolist())
    model = sm.OLS(values, np.ones(96)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True
    )
    assert (found.method, found.n_clusters) == ("cluster wilson" if binary else "cluster t", 12)
    assert found.stderr == pytest.approx(model.bse[0])
    ends = tuple(model.conf_int()[0])
    if binary:
        # Wilson's equation on the effective size, with t for z.
        share = values.mean()
        size, t = share * (1 - share) / model.bse[0] ** 2, stats.t.ppf(0.975, 11)
        ends = proportion_confint(share * size, size, alpha=2 * stats.norm.sf(t), method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx(ends)
    assert "12 clusters" in found.warning


def test_samples_without_a_family_stand_alone() -> None:
    values = RANDOM.normal(size=30)
    assert estimate(values, "mean", [None] * 30) == estimate(values, "mean")
    assert estimate(values, "mean", range(30)) == estimate(values, "mean")
    assert estimate(values, "mean", ["a", "a", *[None] * 28]).n_clusters == 29


def test_clusters_that_agree_still_get_an_interval_with_width() -> None:
    found = estimate(np.ones(40), "mean", [i // 10 for i in range(40)])
    t = stats.t.ppf(0.975, 3)
    expected = proportion_confint(4, 4, alpha=2 * stats.norm.sf(t), method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx(expected)


def test_bootstrap_agrees_with_scipy() -> None:
    lls, words = RANDOM.normal(-60, 20, 80), RANDOM.integers(10, 60, 80)
    found = estimate(np.column_stack([lls, words]), "weighted_perplexity", seed=1)
    expected = stats.bootstrap(
        (lls, words),
        lambda x, w, axis: np.exp(-x.sum(axis=axis) / w.sum(axis=axis)),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=2,
    )
    assert found.method == "bootstrap"
    assert found.value == pytest.approx(np.exp(-lls.sum() / words.sum()))
    assert found.stderr == pytest.approx(expected.standard_error, rel=0.04)
    interval = expected.confidence_interval
    width = interval.high - interval.low
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(interval), abs=0.04 * width)


def test_cluster_bootstrap_widens_with_correlation() -> None:
    lls = np.repeat(RANDOM.normal(-60, 20, 20), 10) + RANDOM.normal(size=200)
    alone = estimate(lls / 30, "perplexity")
    together = estimate(lls / 30, "perplexity", [i // 10 for i in range(200)])
    assert together.method == "cluster bootstrap"
    assert together.stderr > 2 * alone.stderr


def test_the_same_seed_gives_the_same_interval() -> None:
    lls = RANDOM.normal(-3, 1, 50)
    assert estimate(lls, "perplexity", seed=4) == estimate(lls, "perplexity", seed=4)
    assert estimate(lls, "perplexity", seed=4) != estimate(lls, "perplexity", seed=5)


def test_ten_thousand_draws_of_a_thousand_documents_take_less_than_a_second() -> None:
    counts = np.sort(RANDOM.integers(0, 20, (1000, 10)))
    begun = time.process_time()
    estimate(counts, "bleu")
    assert time.process_time() - begun < 1


def test_no_sample_has_no_figure() -> None:
    found = estimate(np.empty((0, 1)), "mean")
    assert (found.n, found.value, found.stderr, found.ci_low, found.ci_high) == (0, *[None] * 4)


@pytest.mark.parametrize(("clusters", "n"), [(None, 1), (["a", "a", "a"], 3)])
def test_one_unit_has_a_value_but_no_interval(clusters: list | None, n: int) -> None:
    found = estimate(np.full(n, 0.5), "mean", clusters)
    assert (found.value, found.stderr, found.ci_low, found.ci_high) == (0.5, None, None, None)


@pytest.mark.parametrize(
    ("statistics", "aggregation"),
    [
        ([1.0, float("nan")], "mean"),
        ([[-5.0, 0.0]], "weighted_perplexity"),
        ([-1e6] * 3, "perplexity"),
    ],
)
def test_undefined_is_none(statistics: list, aggregation: str) -> None:
    found = estimate(statistics, aggregation)
    assert (found.value, found.stderr, found.ci_low, found.method) == (None, None, None, None)


def test_resamples_in_which_the_value_is_undefined_are_left_out() -> None:
    # F1 needs a positive; with one in n documents, a resample has none with probability 1/e.
    found = estimate([[0.0, 0.0, 0.0, 1.0]] * 30 + [[1.0, 0.0, 0.0, 0.0]], "f1")
    assert (found.value, found.ci_low, found.ci_high) == (1.0, 1.0, 1.0)


def test_a_proportion_is_held_to_a_number_by_the_binomial_test() -> None:
    expected = 2 * stats.binomtest(3, 40, 0.2, alternative="less").pvalue
    assert value_p(np.arange(40) < 3, "mean", 0.2) == pytest.approx(expected)


def test_a_mean_is_held_to_a_number_by_the_t_test() -> None:
    values = RANDOM.normal(1, 1, 30)
    mirrored = np.r_[values, 2 - values]
    symmetric = stats.ttest_1samp(mirrored, 0.8).pvalue
    assert value_p(mirrored, "mean", 0.8) == pytest.approx(symmetric)
    # Skewed values may only make the test less sure.
    assert value_p(values, "mean", 0.8) >= stats.ttest_1samp(values, 0.8).pvalue - 1e-12
    clusters = [i // 3 for i in range(30)]
    means = values.reshape(10, 3).mean(axis=1)
    expected = stats.ttest_1samp(means, 0.8).pvalue
    assert value_p(values, "mean", 0.8, clusters) == pytest.approx(expected)


def test_a_corpus_metric_is_held_to_a_number_by_the_bootstrap() -> None:
    lls = RANDOM.normal(-2, 0.5, 200)
    value = estimate(lls, "perplexity").value
    assert value_p(lls, "perplexity", value) > 0.95
    assert value_p(lls, "perplexity", value * 1.3) < 0.001
    assert 0.01 < value_p(lls, "perplexity", value * 1.05) < 0.5


def test_too_little_to_test_has_no_p_value() -> None:
    assert value_p([1.0], "mean", 0.5) is None
    assert value_p([1.0, 0.0], "mean", 0.5, ["a", "a"]) is None
    assert value_p([np.nan, 0.0], "mean", 0.5) is None
