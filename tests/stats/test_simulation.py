"""Intervals hold the truth as often as they claim, tests cry wolf no oftener than they may.

The bounds leave three standard errors of the simulation itself; seeds are fixed.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from evalkit.stats import compare_pairs, estimate

DATA_SETS = 400
SLACK = 3 * math.sqrt(0.05 * 0.95 / DATA_SETS)


def coverage(draw: Callable[[np.random.Generator], tuple], truth: float) -> float:
    random = np.random.default_rng(99)
    hits = 0
    for _ in range(DATA_SETS):
        statistics, aggregation, clusters = draw(random)
        found = estimate(statistics, aggregation, clusters, draws=500)
        hits += found.ci_low <= truth <= found.ci_high
    return hits / DATA_SETS


def clustered(random: np.random.Generator) -> tuple:
    clusters = np.repeat(np.arange(40), 5)
    return random.normal(size=40)[clusters] + random.normal(size=200), "mean", clusters.tolist()


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda random: (random.random(100) < 0.3, "mean", None), 0.3),
        (lambda random: (random.normal(2, 1, 30), "mean", None), 2.0),
        (clustered, 0.0),
        (lambda random: (random.normal(-1, 0.5, 200), "perplexity", None), math.e),
    ],
    ids=["wilson", "t", "cluster t", "bootstrap"],
)
def test_coverage_is_near_95_percent(draw: Callable, truth: float) -> None:
    assert 0.95 - SLACK <= coverage(draw, truth) <= 0.95 + SLACK


def null_binary(random: np.random.Generator) -> tuple:
    hard = random.random(100)
    return random.random(100) < hard, random.random(100) < hard, "mean", None, 0.0


def null_margin(random: np.random.Generator) -> tuple:
    """The candidate is worse by exactly the margin."""
    a = random.random(300) < 0.7
    return a, a & (random.random(300) > 0.05 / 0.7), "mean", None, -0.05


def null_means(random: np.random.Generator) -> tuple:
    a = random.normal(size=30)
    return a, a + random.normal(size=30), "mean", None, 0.0


def null_clusters(random: np.random.Generator) -> tuple:
    clusters = np.repeat(np.arange(12), 8)
    a = random.normal(size=96)
    return a, a + random.normal(size=12)[clusters], "mean", clusters.tolist(), 0.0


def null_corpus(random: np.random.Generator) -> tuple:
    a, b = random.normal(-1, 0.5, (2, 15))
    return a, b, "perplexity", None, 0.0


@pytest.mark.parametrize("draw", [null_binary, null_margin, null_means, null_clusters, null_corpus])
def test_false_alarms_stay_below_the_level(draw: Callable) -> None:
    random = np.random.default_rng(7)
    alarms = 0
    for number in range(DATA_SETS):
        a, b, aggregation, clusters, null = draw(random)
        found = compare_pairs(a, b, aggregation, clusters, null=null, seed=number, draws=399)
        alarms += found.p < 0.05
    assert alarms / DATA_SETS <= 0.05 + SLACK
