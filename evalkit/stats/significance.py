"""Two-sided tests; no p-value is ever 0."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike

from evalkit.metrics.aggregation import Aggregation
from evalkit.stats.bootstrap import DRAWS
from evalkit.stats.intervals import tango_z
from evalkit.stats.units import Array, cluster_codes, matrix, unit_sums

_CELLS = 500_000


def mcnemar_p(wins: int, losses: int) -> float:
    """Exact test that wins and losses of a paired binary metric are equally likely.

    Source: McNemar 1947; exact form as a binomial test on the discordant pairs.
    """
    return binomial_p(wins, wins + losses, 0.5)


def binomial_p(successes: int, n: int, null: float) -> float:
    """Exact test of a proportion against `null`, twice the smaller tail.

    Source: Clopper and Pearson 1934, whose interval it inverts.
    """
    if n == 0:
        return 1.0
    below = float(scipy.special.bdtr(successes, n, null))
    above = float(scipy.special.bdtrc(successes - 1, n, null)) if successes > 0 else 1.0
    return _positive(2 * min(below, above))


def t_p(distance: float, stderr: float, freedom: float) -> float:
    """Student's t test of a mean that lies `distance` from its null.

    Equal values have no spread that t could go by: what speaks is that all of them lie on one side,
    which by flipping signs has p = 2 / 2^n, and is nearly nothing for two or three of them.
    """
    if _is_none(stderr, distance):
        return 1.0 if distance == 0 else _positive(2.0**-freedom)
    return _positive(2 * float(scipy.special.stdtr(freedom, -abs(distance) / stderr)))


def score_p(share: float, n: float, null: float, freedom: int) -> float:
    """Score test of a proportion over an effective number of samples; inverts Wilson's interval."""
    variance = null * (1 - null) / n
    if variance <= 0:
        return 1.0 if share == null else _positive(0.0)
    return _positive(
        2 * float(scipy.special.stdtr(freedom, -abs(share - null) / math.sqrt(variance)))
    )


def johnson_p(distance: float, stderr: float, skewness: float, units: int, freedom: float) -> float:
    """Student's t test of a mean of skewed values, corrected for the skewness.

    Args:
        distance: Mean less its null.
        stderr: Standard error of the mean.
        skewness: Of the units.
        units: How many.
        freedom: Degrees of freedom.

    Source: Johnson 1978, "Modified t tests and confidence intervals for asymmetrical populations".
    """
    if _is_none(stderr, distance):
        return t_p(distance, stderr, freedom)
    t = distance / stderr
    moved = t + skewness * (1 + 2 * t**2) / (6 * math.sqrt(units))
    return _positive(2 * float(scipy.special.stdtr(freedom, -abs(moved))))


def tango_p(wins: float, losses: float, n: float, null: float, freedom: int | None = None) -> float:
    """Score test of a paired difference of proportions against `null`; see `tango_interval`.

    Source: Tango 1998.
    """
    z = -abs(tango_z(wins, losses, n, null))
    return _positive(
        2 * float(scipy.special.ndtr(z) if freedom is None else scipy.special.stdtr(freedom, z))
    )


def sign_flip_p(
    differences: ArrayLike,
    clusters: Sequence[Hashable | None] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> float:
    """Permutation test that paired differences have mean 0, flipping signs of whole clusters.

    All sign patterns are tried where there are no more of them than `draws`.

    Args:
        differences: Shape (n,).
        clusters: Cluster id of each difference.
        seed: Seed of the random signs.
        draws: Random sign patterns.

    Source: Fisher 1935; the observed pattern counts as one of the draws (Phipson and Smyth 2010).
    """
    sums, _ = unit_sums(matrix(differences), cluster_codes(clusters))
    flips = sums[:, 0][sums[:, 0] != 0]
    return _permutation_p(flips[:, None], lambda sums: sums[:, 0], seed, draws)


def randomization_p(
    baseline: Array,
    candidate: Array,
    sizes: Array,
    aggregation: Aggregation,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> float:
    """Permutation test of a corpus metric: the two systems' outputs are swapped, unit by unit.

    Args:
        baseline: Summed statistics of each unit, shape (units, k).
        candidate: The same for the candidate.
        sizes: Samples in each unit.
        aggregation: How sums become the value.
        seed: Seed of the random swaps.
        draws: Random swaps.

    Source: Noreen 1989; Riezler and Maxwell 2005, "On some pitfalls in automatic evaluation and
    significance testing for MT", as approximate randomization.
    """
    middle, half = (baseline + candidate).sum(axis=0) / 2, (candidate - baseline) / 2
    n = np.array(sizes.sum())

    def difference(signed: Array) -> Array:
        return aggregation.value(middle + signed, n) - aggregation.value(middle - signed, n)

    return _permutation_p(half[(half != 0).any(axis=1)], difference, seed, draws)


def _permutation_p(units: Array, effect: Callable[[Array], Array], seed: int, draws: int) -> float:
    """Share of sign patterns whose effect is at least the observed one.

    Args:
        units: Shape (units, k), what is added with a sign.
        effect: Maps signed sums of shape (m, k) to effects (m,).
        seed: Seed of the random signs.
        draws: Random sign patterns; all patterns are tried where there are no more.
    """
    if len(units) == 0:
        return 1.0
    observed = abs(float(effect(units.sum(axis=0, keepdims=True))[0]))
    # Rounding must not turn a tie with the observed pattern into a smaller effect.
    bar = observed * (1 - 1e-9)
    exact = 2 ** min(len(units), 62) <= draws
    patterns = _all_signs(len(units)) if exact else _random_signs(len(units), seed, draws)
    extreme = total = 0
    for signs in patterns:
        extreme += int((~(np.abs(effect(signs @ units)) < bar)).sum())
        total += len(signs)
    return extreme / total if exact else (extreme + 1) / (total + 1)


def _all_signs(units: int) -> Iterator[Array]:
    bits = np.arange(2**units)[:, None] >> np.arange(units)
    yield np.where(bits & 1, -1.0, 1.0)


def _random_signs(units: int, seed: int, draws: int) -> Iterator[Array]:
    random = np.random.default_rng(seed)
    row_bytes = -(-units // 8)
    # The stream comes in words of four bytes: fours of rows make it the same in any blocks.
    block = max(4, _CELLS // units // 4 * 4)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        raw = np.frombuffer(random.bytes(rows * row_bytes), dtype=np.uint8)
        bits = np.unpackbits(raw.reshape(rows, row_bytes), axis=1, count=units)
        yield (1 - 2 * bits.view(np.int8)).astype(np.float64)


def _is_none(stderr: float, distance: float) -> bool:
    """Whether a standard error is 0 but for rounding."""
    return stderr <= 1e-12 * abs(distance)


def _positive(p: float) -> float:
    """P-values may be tiny, but 0 would claim certainty."""
    return min(1.0, max(p, float(np.finfo(np.float64).tiny)))
