"""The difference of two runs on the same samples, with its interval and test."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from evalkit.errors import UsageError
from evalkit.metrics.aggregation import AGGREGATIONS, Aggregation
from evalkit.stats.bootstrap import (
    DRAWS,
    bootstrap_p,
    effective_units,
    percentile_interval,
    resampled_sums,
)
from evalkit.stats.estimate import is_binary
from evalkit.stats.intervals import effective_size, mean_stderr, t_interval, tango_interval
from evalkit.stats.jackknife import jackknife_stderr
from evalkit.stats.power import ALPHA, minimal_detectable_effect
from evalkit.stats.significance import mcnemar_p, randomization_p, sign_flip_p, t_p, tango_p
from evalkit.stats.units import Array, Codes, cluster_codes, matrix, unit_sums

TestName = Literal["auto", "sign-flip", "t", "bootstrap"]


@dataclass(frozen=True, slots=True)
class PairedEstimate:
    """Candidate minus baseline over paired samples; what is undefined is None.

    Attributes:
        baseline: Value of the baseline over the pairs.
        candidate: Value of the candidate over the pairs.
        difference: Candidate minus baseline.
        stderr: Standard error of the difference.
        ci_low: Lower end of the interval of the difference.
        ci_high: Upper end of it.
        p: Two-sided p-value of the difference being `null`.
        test: Name of the test.
        visible_effect: Smallest true difference this many pairs find with 80 % probability.
        n: Number of pairs.
        n_clusters: Number of clusters where samples come in families.
    """

    baseline: float | None
    candidate: float | None
    difference: float | None
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    test: str | None = None
    visible_effect: float | None = None
    n: int = 0
    n_clusters: int | None = None


def compare_pairs(
    baseline: ArrayLike,
    candidate: ArrayLike,
    aggregation: str | Aggregation,
    clusters: Sequence[Hashable | None] | None = None,
    *,
    null: float = 0.0,
    share: float | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    alpha: float = ALPHA,
    test: TestName = "auto",
) -> PairedEstimate:
    """Compare two runs sample by sample.

    Binary metrics get the exact McNemar test (Tango's score test where `null` is not 0) and Tango's
    interval; other means the sign-flip test (t where `null` is not 0) and a t interval; corpus
    metrics approximate randomization and a paired bootstrap. Where samples come in clusters, whole
    clusters are flipped, swapped and resampled, t has C - 1 degrees of freedom, and Tango's methods
    work on the effective number of pairs.

    Args:
        baseline: Statistics of the baseline's samples, shape (n, k), or (n,) where k is 1.
        candidate: Statistics of the candidate's samples, row by row on the same documents.
        aggregation: How sums become the value; a name in `AGGREGATIONS` or the thing itself.
        clusters: Cluster id of each sample.
        null: Difference under the null hypothesis.
        share: Where that is a share of the baseline's absolute value, which `null` is from the
            samples: the share. What the samples leave open of the baseline then counts too.
        seed: Seed of all resampling.
        draws: Permutations, and resamples where they give the p-value; an interval alone is made
            of at most `DRAWS`.
        alpha: 1 minus the confidence of the interval, and level for `visible_effect`.
        test: `auto` is as described; `sign-flip` (against 0) and `t` are for means; `bootstrap`,
            which also makes the interval, is for any metric.

    Returns:
        With no pair, or an undefined value, no difference; with one pair or cluster the difference
        without interval and test.

    Raises:
        UsageError: The test does not suit the metric.
    """
    if isinstance(aggregation, str):
        aggregation = AGGREGATIONS[aggregation]
    a, b = matrix(baseline), matrix(candidate)
    codes = cluster_codes(clusters)
    n = len(a)
    n_clusters = None if codes is None else int(codes.max()) + 1
    value_a, value_b = _value(a, aggregation), _value(b, aggregation)
    if value_a is None or value_b is None:
        return PairedEstimate(value_a, value_b, None, n=n, n_clusters=n_clusters)
    difference = value_b - value_a
    if (n if n_clusters is None else n_clusters) < 2:
        return PairedEstimate(value_a, value_b, difference, n=n, n_clusters=n_clusters)
    pairs = _Pairs(a, b, aggregation, codes, difference, null, share, seed, draws, alpha)
    spread = _spread(pairs, test)
    low, high = spread.interval or (None, None)
    return PairedEstimate(
        value_a, value_b, difference, spread.stderr, low, high,
        spread.p, spread.test, spread.visible_effect, n, n_clusters,
    )  # fmt: skip


def _spread(pairs: "_Pairs", test: TestName) -> "_Spread":
    """Interval and test by the method that suits the metric, or that was asked for."""
    mean = pairs.aggregation.is_mean
    if test in ("sign-flip", "t") and not mean:
        raise UsageError(f"The test {test!r} is for means; this metric wants auto or bootstrap.")
    if test == "bootstrap" or not mean:
        return _compare_corpus(pairs, only_bootstrap=test == "bootstrap")
    if test in ("sign-flip", "t"):
        return _compare_means(pairs, "t" if pairs.null else test)
    if is_binary(pairs.a[:, 0]) and is_binary(pairs.b[:, 0]):
        return _compare_binary(pairs)
    return _compare_means(pairs)


@dataclass(frozen=True, slots=True)
class _Pairs:
    a: Array
    b: Array
    aggregation: Aggregation
    codes: Codes | None
    difference: float
    null: float
    share: float | None
    seed: int
    draws: int
    alpha: float

    @property
    def is_beyond(self) -> bool:
        """Whether the difference lies farther from 0 than the null: not surer so than beyond 0."""
        return (self.difference - self.null) * self.null > 0

    def t_p(self) -> float:
        """Student's t test of a mean's excess over the null, robust in clusters."""
        a, b = self.a[:, 0], self.b[:, 0]
        allowed = self.null if self.share is None else self.share * np.sign(a.sum()) * a
        excess = b - a - allowed
        freedom = effective_units(unit_sums(excess[:, None], self.codes)[1]) - 1
        return t_p(float(excess.mean()), mean_stderr(excess, self.codes), freedom)


@dataclass(frozen=True, slots=True)
class _Spread:
    stderr: float | None
    interval: tuple[float, float] | None
    p: float | None
    test: str
    visible_effect: float | None


def _compare_binary(pairs: _Pairs) -> _Spread:
    if pairs.codes is not None:
        return _compare_binary_clusters(pairs, pairs.codes)
    differences = pairs.b[:, 0] - pairs.a[:, 0]
    n, wins, losses = len(differences), int((differences > 0).sum()), int((differences < 0).sum())
    stderr = mean_stderr(differences)
    if pairs.null == 0:
        p, test = mcnemar_p(wins, losses), "mcnemar"
    else:
        p, test = tango_p(wins, losses, n, pairs.null), "tango"
    if pairs.share is not None:
        p = max(p, pairs.t_p())
    # However few pairs are discordant, fewer than this many one-sided ones are never significant:
    # McNemar's p of k wins and no loss is 2 / 2^k.
    needed = next(k for k in range(1, 64) if 2.0 ** (1 - k) < pairs.alpha)
    visible = max(minimal_detectable_effect(stderr, pairs.alpha), needed / n)
    interval = tango_interval(wins, losses, n, 1 - pairs.alpha)
    return _Spread(stderr, interval, p, test, visible if visible <= 1 else None)


def _compare_binary_clusters(pairs: _Pairs, codes: Codes) -> _Spread:
    differences = pairs.b[:, 0] - pairs.a[:, 0]
    stderr, freedom = mean_stderr(differences, codes), int(codes.max())
    size = effective_size(differences, codes)
    wins, losses = (size * float((sign * differences > 0).mean()) for sign in (1, -1))
    if pairs.null == 0:
        p = sign_flip_p(differences, codes.tolist(), seed=pairs.seed, draws=pairs.draws)
    else:
        p = tango_p(wins, losses, size, pairs.null, freedom)
    if pairs.share is not None:
        p = max(p, pairs.t_p())
    return _Spread(
        stderr,
        tango_interval(wins, losses, size, 1 - pairs.alpha, freedom),
        p,
        "cluster sign-flip" if pairs.null == 0 else "cluster tango",
        minimal_detectable_effect(stderr, pairs.alpha) if stderr > 0 else None,
    )


def _compare_means(pairs: _Pairs, test: str = "") -> _Spread:
    differences = pairs.b[:, 0] - pairs.a[:, 0]
    stderr = mean_stderr(differences, pairs.codes)
    units = len(differences) if pairs.codes is None else int(pairs.codes.max()) + 1
    clusters = None if pairs.codes is None else pairs.codes.tolist()
    # Swapping the runs is a symmetry only where they are equal; off 0 nothing can be flipped.
    test = test or ("sign-flip" if pairs.null == 0 else "t")
    if test == "sign-flip":
        p = sign_flip_p(differences, clusters, seed=pairs.seed, draws=pairs.draws)
    else:
        p = pairs.t_p()
    return _Spread(
        stderr,
        t_interval(pairs.difference, stderr, units - 1, 1 - pairs.alpha),
        p,
        test if clusters is None else f"cluster {test}",
        minimal_detectable_effect(stderr, pairs.alpha) if stderr > 0 else None,
    )


def _compare_corpus(pairs: _Pairs, only_bootstrap: bool = False) -> _Spread:
    a, sizes = unit_sums(pairs.a, pairs.codes)
    b, _ = unit_sums(pairs.b, pairs.codes)
    prefix = "" if pairs.codes is None else "cluster "
    value = pairs.aggregation.value
    p = randomization_p(a, b, sizes, pairs.aggregation, seed=pairs.seed, draws=pairs.draws)
    draws = pairs.draws if only_bootstrap or pairs.null else min(pairs.draws, DRAWS)
    drawn = resampled_sums(np.column_stack([a, b, sizes]), pairs.seed, draws)
    k, units = a.shape[1], effective_units(sizes)
    old, new = value(drawn[:, :k], drawn[:, -1]), value(drawn[:, k : 2 * k], drawn[:, -1])
    values = new - old
    interval = percentile_interval(values, units, 1 - pairs.alpha)
    if interval is None:
        return _Spread(None, None, p if pairs.null == 0 else None, f"{prefix}randomization", None)
    finite = values[np.isfinite(values)]
    stderr = float(np.std(finite, ddof=1))
    test = f"{prefix}randomization"
    excess = values - pairs.null if pairs.share is None else new - old - pairs.share * np.abs(old)
    if only_bootstrap:
        p, test = bootstrap_p(excess, 0.0, units), f"{prefix}paired bootstrap"
    elif pairs.null != 0:
        # Alone the bootstrap is too sure of itself on few documents.
        bound = p if pairs.is_beyond else _jackknife_p(pairs, a, b, sizes)
        p, test = max(bound, bootstrap_p(excess, 0.0, units)), f"{prefix}paired bootstrap"
    visible = minimal_detectable_effect(stderr, pairs.alpha) if stderr > 0 else None
    return _Spread(stderr, interval, p, test, visible)


def _jackknife_p(pairs: _Pairs, a: Array, b: Array, sizes: Array) -> float:
    """T test of a corpus metric's excess over the null, its error by leaving each unit out."""
    k = a.shape[1]

    def excess(sums: Array, n: Array) -> Array:
        old, new = (pairs.aggregation.value(part, n) for part in (sums[..., :k], sums[..., k:]))
        allowed = pairs.null if pairs.share is None else pairs.share * np.abs(old)
        found: Array = new - old - allowed
        return found

    sums = np.column_stack([a, b])
    value = float(excess(sums.sum(axis=0), np.array(sizes.sum())))
    stderr = jackknife_stderr(sums, sizes, excess)
    return t_p(value, stderr, effective_units(sizes) - 1) if np.isfinite(stderr) else 1.0


def _value(statistics: Array, aggregation: Aggregation) -> float | None:
    if len(statistics) == 0:
        return None
    value = float(aggregation.value(statistics.sum(axis=0), np.array(len(statistics))))
    return value if np.isfinite(value) else None
