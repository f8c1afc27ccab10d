"""Intervals of quantiles, against scipy's test and by simulation."""

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.quantiles import quantile_interval


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
