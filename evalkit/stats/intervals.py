"""Closed-form standard errors and intervals.

Quantiles come from `scipy.special`; `scipy.stats` has the same ones and costs a second to import.
All parts of scipy load on first use.
"""

import math

import numpy as np
import scipy
from numpy.typing import NDArray

from evalkit.stats.units import Codes, unit_sums

Array = NDArray[np.float64]
Interval = tuple[float, float]


def mean_stderr(values: Array, codes: Codes | None = None) -> float:
    """Standard error of a mean; robust to correlation within clusters where codes are given.

    Args:
        values: Shape (n,); at least two, in at least two clusters.
        codes: Cluster number of each value.

    Source: Liang and Zeger 1986, in the form CR3, which leaves each cluster out once and stays
    honest where few clusters differ in size (MacKinnon, Nielsen and Webb 2023, "Cluster-robust
    inference: a guide to empirical practice"); for clusters of one size it is the usual
    C / (C - 1) form. For evaluations Miller 2024, "Adding error bars to evals".
    """
    residuals, sizes = unit_sums((values - values.mean())[:, None], codes)
    units, n = len(residuals), len(values)
    shifts = residuals[:, 0] / (n - sizes)
    return math.sqrt((units - 1) / units * float((shifts**2).sum()))


def ratio_parts(above: Array, below: Array) -> Array:
    """One number a unit, whose mean is sum(above) / sum(below) and whose error is that ratio's.

    Args:
        above: What is counted of each unit, shape (n,).
        below: In how much of it, such as seconds, shape (n,).

    Source: linearisation of a ratio, Cochran 1977, "Sampling techniques", section 6.4.
    """
    ratio = above.sum() / below.sum()
    parts: Array = ratio + (above - ratio * below) / below.mean()
    return parts


def t_interval(mean: float, stderr: float, freedom: float, confidence: float = 0.95) -> Interval:
    """Student's t interval around a mean with so many degrees of freedom.

    Source: Student 1908, "The probable error of a mean".
    """
    reach = float(scipy.special.stdtrit(freedom, (1 + confidence) / 2)) * stderr
    return mean - reach, mean + reach


def wilson_interval(
    successes: float, n: float, confidence: float = 0.95, freedom: int | None = None
) -> Interval:
    """Score interval of a proportion; honest also near 0 and 1.

    Args:
        successes: How many of `n`.
        n: Samples; the effective number (`effective_size`) where they come in clusters.
        confidence: Share of such intervals that should hold the true value.
        freedom: Degrees of freedom of the variance, where that was estimated from clusters.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference";
    with clusters Dean and Pagano 2015, "Evaluating confidence interval methods for binomial
    proportions in clustered surveys".
    """
    z = critical_value(confidence, freedom)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and n successes the ends are exactly 0 and 1; rounding must not cross the value.
    return min(max(0.0, centre - reach), share), max(min(1.0, centre + reach), share)


def effective_size(values: Array, codes: Codes, least: float | None = None) -> float:
    """As many independent samples as a clustered mean is worth: between clusters and samples.

    Args:
        values: Shape (n,).
        codes: Cluster number of each value.
        least: The fewest that they count as; by default the number of clusters.

    Source: Kish 1965, "Survey sampling", the design effect.
    """
    n = len(values)
    least = float(codes.max() + 1) if least is None else least
    alone, robust = float(values.std()) / math.sqrt(n), mean_stderr(values, codes)
    if robust == 0:
        return least
    return float(min(max(n * (alone / robust) ** 2, least), n))


def bounded_interval(
    value: float, stderr: float, n: int, clusters: int | None = None, confidence: float = 0.95
) -> Interval:
    """Wilson's interval of a figure between 0 and 1 that is no count, such as an AUROC.

    It is taken for a share of as many samples as its error is worth: at least the clusters, at
    most the samples. Student's interval has no width where every document agrees, as if so few
    could tell 0.999 from 1.

    Args:
        value: From 0 to 1.
        stderr: Its standard error, robust to clusters where there are any.
        n: Samples.
        clusters: Families of samples; None where each stands alone.
        confidence: Share of such intervals that should hold the true value.

    Source: as `wilson_interval`, and for an AUROC taken as a proportion Kottas, Kuss and Zapf 2014,
    "A modified Wald interval for the area under the ROC curve (AUC) in diagnostic case-control
    studies".
    """
    units = n if clusters is None else clusters
    size = value * (1 - value) / stderr**2 if stderr > 0 else units
    size = min(max(size, clusters or 1), n)
    return wilson_interval(value * size, size, confidence, units - 1)


def tango_z(wins: float, losses: float, n: float, null: float) -> float:
    """Score statistic of a paired difference of proportions, (wins - losses) / n, against `null`.

    At `null` 0 its square is McNemar's statistic.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design".
    """
    slope = -wins - losses + (2 * n - wins + losses) * null
    constant = -losses * null * (1 - null)
    root = math.sqrt(max(0.0, slope**2 - 8 * n * constant))
    loss_rate = (root - slope) / (4 * n)
    variance = n * (2 * loss_rate + null * (1 - null))
    distance = wins - losses - n * null
    if abs(distance) < 1e-12 * n:
        return 0.0
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def tango_interval(
    wins: float, losses: float, n: float, confidence: float = 0.95, freedom: int | None = None
) -> Interval:
    """Score interval of a paired difference of proportions; honest also with no discordant pair.

    Args:
        wins: Pairs in which the difference is 1.
        losses: Pairs in which it is -1.
        n: All pairs; the three scaled to an effective size where samples come in clusters.
        confidence: Share of such intervals that should hold the true value.
        freedom: Degrees of freedom of the variance, where that was estimated from clusters.

    Source: Tango 1998; recommended by Fagerland, Lydersen and Laake 2014.
    """
    z = critical_value(confidence, freedom)
    difference = (wins - losses) / n
    low, high = -1.0, 1.0
    if difference > -1:
        low = scipy.optimize.brentq(
            lambda d: tango_z(wins, losses, n, d) - z, -1 + 1e-12, difference
        )
    if difference < 1:
        high = scipy.optimize.brentq(
            lambda d: tango_z(wins, losses, n, d) + z, difference, 1 - 1e-12
        )
    return float(low), float(high)


def critical_value(confidence: float, freedom: int | None) -> float:
    """Errors on either side that an interval reaches: of t, or the normal without `freedom`."""
    level = (1 + confidence) / 2
    return float(
        scipy.special.ndtri(level) if freedom is None else scipy.special.stdtrit(freedom, level)
    )
