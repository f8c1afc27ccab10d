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
def test_values_that_cluster_in_nothing_count_as_all_that_they_are(q):
    values = np.random.default_rng(3).normal(size=(250, 4))
    alone = quantile_interval(values.ravel(), q)
    assert clustered_quantile_intervals(values.ravel()[:, None], [q]) == [alone]
    (found,) = clustered_quantile_intervals(values, [q])
    assert 0.9 < (found[1] - found[0]) / (alone[1] - alone[0]) < 1.3


def test_values_of_one_cluster_count_as_what_they_are_worth():
    alike = [np.full(4, float(value)) for value in range(20)]
    (found,) = clustered_quantile_intervals(alike, [0.5])
    assert found[1] - found[0] >= 10  # as of the twenty that they are worth, not of eighty
    assert clustered_quantile_intervals(alike[:1], [0.5, 0.9]) == [None, None]
    # Five values have no interval of their median, however often each is said.
    often = [np.full(1008, float(value)) for value in range(5)]
    assert clustered_quantile_intervals(often, [0.5, 0.99]) == [None, None]
    one_large = [np.arange(1000.0), *([float(value)] for value in range(19))]
    assert clustered_quantile_intervals(one_large, [0.9]) == [None]


@pytest.mark.parametrize(("clusters", "size"), [(8, 40), (12, 16), (40, 4)])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9])
def test_in_clusters_it_holds_the_true_quantile_as_often_as_it_says(correlation, clusters, size):
    random = np.random.default_rng(6)
    qs = (0.5, 0.9)
    found = [
        clustered_quantile_intervals(in_clusters(random, clusters, size, correlation), qs)
        for _ in range(400)
    ]
    for place, q in enumerate(qs):
        ends = [each[place] for each in found if each[place]]
        if clusters == 40 or (q == 0.5 and correlation < 0.5):
            assert len(ends) > 200
        if len(ends) < 50:
            assert correlation or q == 0.9  # hardly ever one, where few batches are alike
            continue
        covered = np.mean([low <= stats.norm.ppf(q) <= high for low, high in ends])
        assert 0.93 <= covered <= 1.0
