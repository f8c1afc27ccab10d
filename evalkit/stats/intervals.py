"""Closed-form standard errors and intervals.

Quantiles come from `scipy.special`; `scipy.stats` has the same ones and costs a second to import.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import brentq

from evalkit.stats.units import Codes, unit_sums

Array = NDArray[np.float64]
Interval = tuple[float, float]


def mean_stderr(values: Array, codes: Codes | None = None) -> float:
    """Standard error of a mean; robust to correlation within clusters where codes are given.

    Args:
        values: Shape (n,); at least two, in at least two clusters.
        codes: Cluster number of each value.

    Source: Liang and Zeger 1986; Cameron and Miller 2015, "A practitioner's guide to cluster-robust
    inference", with the correction C / (C - 1); for evaluations Miller 2024, "Adding error bars to
    evals".
    """
    residuals, _ = unit_sums((values - values.mean())[:, None], codes)
    units = len(residuals)
    return math.sqrt(units / (units - 1) * float((residuals**2).sum())) / len(values)


def t_interval(mean: float, stderr: float, freedom: int, confidence: float = 0.95) -> Interval:
    """Student's t interval around a mean with so many degrees of freedom.

    Source: Student 1908, "The probable error of a mean".
    """
    reach = float(special.stdtrit(freedom, (1 + confidence) / 2)) * stderr
    return mean - reach, mean + reach


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion; honest also near 0 and 1.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    z = float(special.ndtri((1 + confidence) / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and n successes the ends are exactly 0 and 1; rounding must not cross the value.
    return min(max(0.0, centre - reach), share), max(min(1.0, centre + reach), share)


def tango_z(wins: int, losses: int, n: int, null: float) -> float:
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


def tango_interval(wins: int, losses: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval of a paired difference of proportions; honest also with no discordant pair.

    Source: Tango 1998; recommended by Fagerland, Lydersen and Laake 2014.
    """
    z = float(special.ndtri((1 + confidence) / 2))
    difference = (wins - losses) / n
    low, high = -1.0, 1.0
    if difference > -1:
        low = brentq(lambda d: tango_z(wins, losses, n, d) - z, -1 + 1e-12, difference)
    if difference < 1:
        high = brentq(lambda d: tango_z(wins, losses, n, d) + z, difference, 1 - 1e-12)
    return float(low), float(high)
