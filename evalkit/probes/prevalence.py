"""The true rate behind what an imperfect detector flags."""

import math
from dataclasses import replace

from evalkit.probes.options import MeasuredRate
from evalkit.types import Score

_Z = 1.959963984540054


def corrected_value(flagged: float, sensitivity: MeasuredRate, specificity: MeasuredRate) -> float:
    """Rogan and Gladen's estimate of the true rate; linear, so also that of one text.

    Source: Rogan and Gladen 1978, "Estimating prevalence from the results of a screening test".
    """
    return (flagged + specificity.value - 1) / (sensitivity.value + specificity.value - 1)


def corrected_score(
    raw: Score, corrected: Score, sensitivity: MeasuredRate, specificity: MeasuredRate
) -> Score:
    """A corrected rate with the interval that the raw rate and the detector's own errors leave.

    The raw interval is carried through the correction, which widens it, and then by what the
    counts leave open of sensitivity and specificity.

    Args:
        raw: The rate of flagged texts, with its interval.
        corrected: The mean of the texts' corrected values; gives name and number of samples.
        sensitivity: Of the detector.
        specificity: Of the detector.

    Source: the variance is Rogan and Gladen's; the ends are put together by the MOVER of Zou and
    Donner 2008.
    """
    if raw.value is None or raw.ci_low is None or raw.ci_high is None:
        alone = None if corrected.value is None else min(1.0, max(0.0, corrected.value))
        return replace(corrected, value=alone)
    value, low, high = (
        corrected_value(end, sensitivity, specificity)
        for end in (raw.value, raw.ci_low, raw.ci_high)
    )
    share = min(1.0, max(0.0, value))
    gain = sensitivity.value + specificity.value - 1
    variance = (1 - share) ** 2 * specificity.variance + share**2 * sensitivity.variance
    doubt = math.sqrt(variance) / gain
    return replace(
        corrected,
        value=share,
        stderr=None if raw.stderr is None else math.hypot(raw.stderr / gain, doubt),
        ci_low=min(1.0, max(0.0, value - math.hypot(value - low, _Z * doubt))),
        ci_high=min(1.0, max(0.0, value + math.hypot(high - value, _Z * doubt))),
        interval=f"{raw.interval}, Rogan-Gladen",
    )
