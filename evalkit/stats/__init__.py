"""Statistics: intervals, paired tests, corrections and power, as pure functions."""

from evalkit.stats.bootstrap import DRAWS
from evalkit.stats.corrections import benjamini_hochberg, holm
from evalkit.stats.estimate import Estimate, estimate
from evalkit.stats.intervals import bounded_interval, t_interval, tango_interval, wilson_interval
from evalkit.stats.macro import MacroAverage, macro_average
from evalkit.stats.one_sample import value_p
from evalkit.stats.paired import PairedEstimate, TestName, compare_pairs
from evalkit.stats.power import minimal_detectable_effect, sample_size
from evalkit.stats.significance import (
    binomial_p,
    mcnemar_p,
    randomization_p,
    sign_flip_p,
    t_p,
    tango_p,
)
from evalkit.stats.trend import Trend, trend
from evalkit.stats.unpaired import ScoreSummary, UnpairedEstimate, compare_scores

__all__ = [
    "DRAWS",
    "Estimate",
    "MacroAverage",
    "PairedEstimate",
    "ScoreSummary",
    "TestName",
    "Trend",
    "UnpairedEstimate",
    "benjamini_hochberg",
    "binomial_p",
    "bounded_interval",
    "compare_pairs",
    "compare_scores",
    "estimate",
    "holm",
    "macro_average",
    "mcnemar_p",
    "minimal_detectable_effect",
    "randomization_p",
    "sample_size",
    "sign_flip_p",
    "t_interval",
    "t_p",
    "tango_interval",
    "tango_p",
    "trend",
    "value_p",
    "wilson_interval",
]
