"""Intervals of quantiles, against scipy's test and by simulation."""

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.quantiles import clustered_quantile_intervals, quantile_interval


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("n", [12, 16, 50, 101, 400])
def test_the_interval_is_scipys(n, q):
    values = np.random.default_rng(n).lognormal(size=n)
    low, high = stats.quantile_test(values, p=q).confidence_interval(0.95)
    found = quantile_interval(values, q)
    if np.isnan(low) or np.isnan(high):
        assert found is None
    else:
        assert found == (low, high)


def test_the_median_of_twenty_lies_between_the_sixth_and_the_fifteenth():
    """As tabulated for the sign test."""
    assert quantile_interval(np.arange(1, 21), 0.5) == (6, 15)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0]])
def test_few_values_have_no_interval(values):
    assert quantile_interval(values, 0.99) is None


def test_it_holds_the_true_quantile_as_often_as_it_says():
    random = np.random.default_rng(5)
    truth = stats.expon.ppf(0.9)
    ends = [quantile_interval(random.exponential(size=80), 0.9) for _ in range(2000)]
    covered = np.mean([low <= truth <= high for low, high in ends])
    assert 0.945 <= covered <= 0.99


def in_clusters(random, clusters, size, correlation):
    """Normal values, so much of whose variance whole clusters share."""
    shared = np.sqrt(correlation) * random.normal(size=(clusters, 1))
    return shared + np.sqrt(1 - correlation) * random.normal(size=(clusters, size))


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_alone_in_their_clusters_values_have_the_exact_interval_of_a_proportion(q):
    values = np.random.default_rng(3).lognormal(size=200)
    (found,) = clustered_quantile_intervals(values[:, None], [q])
    ends = stats.binomtest(int(200 * q), 200).proportion_ci(method="exact")
    ordered = np.sort(values)
    assert found == (
        ordered[int(np.floor(200 * ends.low)) - 1], ordered[int(np.ceil(200 * ends.high))]
    )  # fmt: skip


def test_values_of_one_cluster_count_as_what_they_are_worth():
    alike = [np.full(4, float(value)) for value in range(20)]
    (found,) = clustered_quantile_intervals(alike, [0.5])
    assert found[1] - found[0] >= 10  # as of the twenty that they are worth, not of eighty
    assert clustered_quantile_intervals(alike[:1], [0.5, 0.9]) == [None, None]
    assert clustered_quantile_intervals(alike[:5], [0.5, 0.99]) == [None, None]


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9])
def test_in_clusters_it_holds_the_true_quantile_as_often_as_it_says(correlation):
    random = np.random.default_rng(6)
    qs = (0.5, 0.9)
    found = [
        clustered_quantile_intervals(in_clusters(random, 30, 4, correlation), qs)
        for _ in range(400)
    ]
    for place, q in enumerate(qs):
        ends = [each[place] for each in found if each[place]]
        assert len(ends) > 200
        covered = np.mean([low <= stats.norm.ppf(q) <= high for low, high in ends])
        assert 0.93 <= covered <= 1.0
