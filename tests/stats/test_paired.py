"""Differences of paired runs: which method, which direction, what is undefined."""

import numpy as np
import pytest
from scipy import stats

from evalkit.stats import compare_pairs, tango_interval

RANDOM = np.random.default_rng(23)


def test_binary_pairs_get_mcnemar_and_tango() -> None:
    a, b = np.zeros(100), np.zeros(100)
    a[:9], b[5:25] = 1, 1
    found = compare_pairs(a, b, "mean")
    assert (found.baseline, found.candidate) == (0.09, 0.2)
    assert found.difference == pytest.approx(0.11)
    assert found.test == "mcnemar"
    assert found.p == pytest.approx(stats.binomtest(5, 21).pvalue)
    assert (found.ci_low, found.ci_high) == tango_interval(16, 5, 100)


def test_a_margin_is_tested_by_tangos_score() -> None:
    a, b = np.ones(400), np.ones(400)
    b[:40] = 0
    assert compare_pairs(a, b, "mean", null=-0.05).test == "tango"
    assert compare_pairs(a, b, "mean", null=-0.05).p < 0.01
    assert compare_pairs(a, b, "mean", null=-0.1).p == pytest.approx(1.0)
    assert compare_pairs(a, b, "mean", null=-0.09).p > 0.3


def test_means_get_sign_flips_and_t() -> None:
    a = RANDOM.normal(0, 1, 60)
    b = a + RANDOM.normal(0.2, 0.5, 60)
    found = compare_pairs(a, b, "mean")
    expected = stats.ttest_rel(b, a)
    assert found.test == "sign-flip"
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval()))
    assert compare_pairs(a, b, "mean", null=found.difference).p > 0.9


def test_clusters_flip_together() -> None:
    clusters = [i // 10 for i in range(100)]
    shift = np.repeat(RANDOM.normal(0, 1, 10), 10)
    a = RANDOM.normal(0, 1, 100)
    found = compare_pairs(a, a + shift, "mean", clusters)
    assert (found.test, found.n, found.n_clusters) == ("cluster sign-flip", 100, 10)
    assert found.stderr == pytest.approx(stats.sem(shift[::10]))
    binary = compare_pairs(a > 0, a + shift > 0, "mean", clusters)
    assert binary.test == "cluster sign-flip"


def test_corpus_metrics_resample_both_runs_alike() -> None:
    words = RANDOM.integers(20, 80, 120)
    hard = RANDOM.normal(3, 0.6, 120)
    a = np.column_stack([-words * hard, words])
    b = np.column_stack([-words * (hard - 0.02 + RANDOM.normal(0, 0.02, 120)), words])
    found = compare_pairs(a, b, "weighted_perplexity")
    assert found.test == "randomization"
    assert found.difference < 0
    assert found.p < 0.01
    assert found.ci_low < found.difference < found.ci_high < 0
    bound = compare_pairs(a, b, "weighted_perplexity", null=-0.6 * abs(found.difference))
    assert bound.test == "paired bootstrap"
    assert bound.p >= found.p


def test_swapping_the_runs_turns_the_sign() -> None:
    a, b = RANDOM.normal(-2, 1, (2, 40))
    there, back = compare_pairs(a, b, "perplexity"), compare_pairs(b, a, "perplexity")
    assert there.difference == pytest.approx(-back.difference)
    assert there.p == pytest.approx(back.p)
    assert there.ci_low == pytest.approx(-back.ci_high)


def test_a_run_against_itself_shows_nothing() -> None:
    for aggregation, values in (
        ("mean", RANDOM.random(30) < 0.5),
        ("perplexity", RANDOM.random(30)),
    ):
        found = compare_pairs(values, values, aggregation)
        assert (found.difference, found.p) == (0.0, 1.0)


def test_without_discordant_pairs_the_visible_effect_is_what_mcnemar_needs() -> None:
    found = compare_pairs(np.ones(50), np.ones(50), "mean")
    assert found.visible_effect == pytest.approx(6 / 50)
    assert found.ci_low < 0 < found.ci_high
    assert compare_pairs(np.ones(5), np.ones(5), "mean").visible_effect is None


@pytest.mark.parametrize(("n", "clusters"), [(1, None), (4, ["a"] * 4)])
def test_one_unit_has_a_difference_but_no_test(n: int, clusters: list | None) -> None:
    found = compare_pairs(np.zeros(n), np.ones(n), "mean", clusters)
    assert (found.difference, found.p, found.ci_low, found.visible_effect) == (
        1.0,
        None,
        None,
        None,
    )


def test_undefined_values_have_no_difference() -> None:
    assert compare_pairs(np.empty((0, 1)), np.empty((0, 1)), "mean").difference is None
    assert compare_pairs([1.0, np.nan], [1.0, 1.0], "mean").difference is None


def test_a_share_of_the_baseline_is_as_uncertain_as_the_baseline() -> None:
    """A mean that fell by exactly the tenth that is allowed: the samples' own tenth may be less."""
    random = np.random.default_rng(0)
    alarms, data_sets, n = 0, 400, 100
    for _ in range(data_sets):
        a = random.normal(1, 0.5, n)
        b = a - 0.1 + random.normal(0, 0.02, n)
        null = -0.1 * a.mean()
        found = compare_pairs(a, b, "mean", null=null, share=-0.1)
        alarms += found.p < 0.05 and found.difference < null
    assert alarms / data_sets <= 0.05


def test_a_share_is_tested_by_the_contrast() -> None:
    a, b = RANDOM.normal(2, 1, 50), RANDOM.normal(1.5, 1, 50)
    found = compare_pairs(a, b, "mean", null=-0.1 * a.mean(), share=-0.1)
    assert found.p == pytest.approx(stats.ttest_1samp(b - 0.9 * a, 0).pvalue)
    below = compare_pairs(-a, -b, "mean", null=0.1 * a.mean(), share=0.1)
    assert below.p == pytest.approx(found.p)


def test_a_share_of_a_corpus_metric_is_resampled_with_it() -> None:
    """A perplexity that rose by a tenth on every document is at its limit in every resample."""
    a = np.column_stack([RANDOM.normal(-60, 20, 80), np.full(80, 20.0)])
    b = a - [20 * np.log(1.1), 0]
    value = np.exp(-a[:, 0].sum() / a[:, 1].sum())
    assert compare_pairs(a, b, "weighted_perplexity", null=0.1 * value).p > 0.5
    found = compare_pairs(a, b, "weighted_perplexity", null=0.099 * value, share=0.099)
    assert found.p < 0.001


def test_two_equal_losses_are_no_proof_of_a_loss_beyond_a_margin() -> None:
    found = compare_pairs([1.0, 0.75], [0.6, 0.35], "mean", null=-0.1)
    assert found.p == pytest.approx(0.5)


def _perplexity(rows: np.ndarray) -> float:
    return float(np.exp(-rows[:, 0].sum() / rows[:, 1].sum()))


@pytest.mark.parametrize("n", [5, 12, 60])
def test_within_a_margin_a_perplexity_is_no_surer_than_its_jackknife(n: int) -> None:
    random = np.random.default_rng(n)
    a = np.column_stack([random.normal(-60, 10, n), np.full(n, 20.0)])
    b = a + np.column_stack([random.normal(0, 3, n), np.zeros(n)])
    difference, margin = _perplexity(b) - _perplexity(a), 0.2 * _perplexity(a)
    without = np.array(
        [_perplexity(np.delete(b, i, 0)) - _perplexity(np.delete(a, i, 0)) for i in range(n)]
    )
    stderr = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    by_hand = 2 * stats.t.sf(abs(difference - margin) / stderr, n - 1)
    found = compare_pairs(a, b, "weighted_perplexity", null=margin)
    assert abs(difference) < margin
    assert found.p is not None
    assert found.p >= by_hand * (1 - 1e-9)
    assert found.p < 0.5
    mirrored = compare_pairs(b, a, "weighted_perplexity", null=-margin)
    assert mirrored.p == pytest.approx(found.p)
