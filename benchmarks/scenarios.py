"""Synthetic data sets whose truth is known, for `benchmarks.calibration`.

Each data set has a truth of its own, drawn from a band: at a fixed proportion near 0 or 1 so few
counts are possible that no interval could hold it in 95 of 100 cases.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from evalkit.stats import compare_scores, macro_average, trend
from evalkit.stats.estimate import Estimate, estimate
from evalkit.stats.one_sample import value_p
from evalkit.stats.paired import compare_pairs
from evalkit.stats.quantiles import clustered_quantile_intervals
from evalkit.stats.unpaired import ScoreSummary

Random = np.random.Generator
Array = np.ndarray
SIZES = (30, 100, 1_000)
BANDS = {"near 0": (0.01, 0.1), "middle": (0.2, 0.8), "near 1": (0.9, 0.99)}
DRAWS = 999
SHARE = 0.1


@dataclass(frozen=True)
class Result:
    """What one data set gave: whether the interval held the truth, and the test's p-value."""

    held: bool | None = None
    p: float | None = None


@dataclass(frozen=True)
class Scenario:
    """A kind of data set.

    Attributes:
        kind: Method under test.
        data: What the data are like.
        n: Samples of a data set.
        draw: Makes a data set, applies the method, says how it did.
    """

    kind: str
    data: str
    n: int
    draw: Callable[[Random, int], Result]


def clusters_of(random: Random, n: int) -> Array:
    """Cluster numbers: ten clusters of about three at n = 30, else of about five."""
    count = max(10, n // 5)
    return np.sort(np.r_[np.arange(count), random.integers(0, count, n - count)])


def shares(random: Random, mean: float, codes: Array, correlation: float = 0.2) -> Array:
    """Probability of each sample, beta-distributed over clusters around a mean."""
    strength = (1 - correlation) / correlation
    drawn = random.beta(mean * strength, (1 - mean) * strength, codes.max() + 1)
    return drawn[codes]


def _holds(found: Estimate, truth: float) -> bool:
    return found.ci_low is not None and found.ci_low <= truth <= found.ci_high


def proportion(band: tuple[float, float], n: int, clustered: bool):
    def draw(random: Random, seed: int) -> Result:
        truth = random.uniform(*band)
        codes = clusters_of(random, n) if clustered else None
        chance = truth if codes is None else shares(random, truth, codes)
        values = (random.random(n) < chance).astype(float)
        names = None if codes is None else codes.tolist()
        return Result(
            _holds(estimate(values, "mean", names), truth), value_p(values, "mean", truth, names)
        )

    return draw


def mean(n: int, shape: str, clustered: bool):
    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n) if clustered else None
        if shape == "normal":
            values, truth = random.normal(2.0, 1.0, n), 2.0
            if codes is not None:
                values = values + random.normal(0, 0.7, codes.max() + 1)[codes]
        else:
            a, b = {"graded, low": (1.0, 4.0), "graded, high": (4.0, 1.0)}[shape]
            values, truth = random.beta(a, b, n), a / (a + b)
        names = None if codes is None else codes.tolist()
        return Result(
            _holds(estimate(values, "mean", names), truth), value_p(values, "mean", truth, names)
        )

    return draw


def perplexity_data(random: Random, n: int, codes: Array | None) -> tuple[Array, float]:
    """Log-likelihood and words of texts of very different length."""
    words = np.exp(random.normal(4, 0.4, n)).round() + 1
    surprise = random.normal(2.0, 0.3, n)
    if codes is not None:
        surprise = surprise + random.normal(0, 0.2, codes.max() + 1)[codes]
    return np.column_stack([-words * surprise, words]), math.exp(2.0)


def confusion_data(random: Random, n: int, codes: Array | None) -> tuple[Array, float, float]:
    """Confusion cells of a classifier; with them the true F1 and MCC."""
    base, sensitivity, specificity = 0.4, 0.75, 0.8
    gold = random.random(n) < base
    said = np.where(gold, random.random(n) < sensitivity, random.random(n) > specificity)
    cells = np.column_stack([gold & said, ~gold & said, gold & ~said, ~gold & ~said])
    tp, fp = base * sensitivity, (1 - base) * (1 - specificity)
    fn, tn = base - tp, 1 - base - fp
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return cells.astype(float), 2 * tp / (2 * tp + fp + fn), (tp * tn - fp * fn) / root


def corpus(aggregation: str, n: int, clustered: bool):
    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n) if clustered else None
        if aggregation == "weighted_perplexity":
            rows, truth = perplexity_data(random, n, codes)
        else:
            rows, f1, mcc = confusion_data(random, n, codes)
            truth = f1 if aggregation == "f1" else mcc
        names = None if codes is None else codes.tolist()
        found = estimate(rows, aggregation, names, seed=seed, draws=DRAWS)
        p = value_p(rows, aggregation, truth, names, seed=seed + 1, draws=DRAWS)
        return Result(_holds(found, truth), p)

    return draw


def paired_binary(band: tuple[float, float], n: int, clustered: bool, margin: float = 0.0):
    """Two models on the same documents; the candidate is worse by `margin` in truth."""

    def draw(random: Random, seed: int) -> Result:
        skill = random.uniform(*band)
        codes = clusters_of(random, n) if clustered else None
        easy = shares(random, skill, _each(codes, n))
        # Both answer alike on most documents, as two checkpoints of a series do.
        same = random.random(n) < 0.6
        a = random.random(n) < easy
        b = np.where(same, a, random.random(n) < easy)
        if margin:
            b = b & (random.random(n) > margin / skill)
        names = None if codes is None else codes.tolist()
        found = compare_pairs(
            a.astype(float), b.astype(float), "mean", names, null=-margin, seed=seed, draws=DRAWS
        )
        held = found.ci_low is not None and found.ci_low <= -margin <= found.ci_high
        return Result(held, found.p)

    return draw


def paired_mean(n: int, clustered: bool, margin: float = 0.0):
    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n) if clustered else None
        a = random.beta(2, 3, n)
        noise = random.normal(-margin, 0.2, n)
        if codes is not None:
            noise = noise + random.normal(0, 0.1, codes.max() + 1)[codes]
        names = None if codes is None else codes.tolist()
        found = compare_pairs(a, a + noise, "mean", names, null=-margin, seed=seed, draws=DRAWS)
        return Result(found.ci_low <= -margin <= found.ci_high, found.p)

    return draw


def paired_corpus(n: int, clustered: bool, margin: float = 0.0):
    """Perplexities of two models; the candidate's is higher by `margin` in truth."""

    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n) if clustered else None
        a, level = perplexity_data(random, n, codes)
        shift = random.normal(math.log(1 + margin / level), 0.1, n)
        wobble = random.normal(0, 0.05, n)
        b = np.column_stack([a[:, 0] - a[:, 1] * (shift + wobble), a[:, 1]])
        names = None if codes is None else codes.tolist()
        found = compare_pairs(
            a, b, "weighted_perplexity", names, null=margin, seed=seed, draws=DRAWS
        )
        return Result(found.ci_low <= margin <= found.ci_high, found.p)

    return draw


def share_of_binary(n: int, clustered: bool):
    """The candidate loses exactly the share of right answers that is allowed."""

    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n) if clustered else None
        easy = shares(random, random.uniform(*BANDS["middle"]), _each(codes, n))
        same = random.random(n) < 0.6
        a = random.random(n) < easy
        b = np.where(same, a, random.random(n) < easy) & (random.random(n) > SHARE)
        return _of_share(a.astype(float), b.astype(float), "mean", codes, -SHARE, seed)

    return draw


def share_of_mean(n: int, clustered: bool):
    """Two runs that differ by little but the drop: what is uncertain is how much is allowed."""

    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n) if clustered else None
        a = random.beta(2, 3, n)
        b = a - SHARE * 0.4 + random.normal(0, 0.02, n)
        if codes is not None:
            common = random.normal(0, 0.02, codes.max() + 1)[codes]
            a, b = a + 10 * common, b + 11 * common
        return _of_share(a, b, "mean", codes, -SHARE, seed)

    return draw


def share_of_corpus(n: int, clustered: bool):
    """A perplexity that rose by exactly the share that is allowed."""

    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n) if clustered else None
        a, _ = perplexity_data(random, n, codes)
        shift = random.normal(math.log1p(SHARE), 0.1, n)
        b = np.column_stack([a[:, 0] - a[:, 1] * shift, a[:, 1]])
        return _of_share(a, b, "weighted_perplexity", codes, SHARE, seed)

    return draw


def _each(codes: Array | None, n: int) -> Array:
    return np.arange(n) if codes is None else codes


def _of_share(
    a: Array, b: Array, aggregation: str, codes: Array | None, share: float, seed: int
) -> Result:
    names = None if codes is None else codes.tolist()
    value = estimate(a, aggregation, draws=2).value
    found = compare_pairs(
        a, b, aggregation, names, null=share * value, share=share, seed=seed, draws=DRAWS
    )
    return Result(p=found.p)


def unpaired(band: tuple[float, float], n: int):
    def draw(random: Random, seed: int) -> Result:
        skill = random.uniform(*band)
        scores = []
        for _ in range(2):
            found = estimate((random.random(n) < skill).astype(float), "mean")
            scores.append(
                ScoreSummary(found.value, found.stderr, found.ci_low, found.ci_high, n, True)
            )
        result = compare_scores(*scores)
        return Result(result.ci_low <= 0 <= result.ci_high, result.p)

    return draw


def macro(n: int):
    """Mean of five tasks of different difficulty."""

    def draw(random: Random, seed: int) -> Result:
        truths = random.uniform(0.1, 0.9, 5)
        found = [estimate((random.random(n) < truth).astype(float), "mean") for truth in truths]
        average = macro_average(
            [one.value for one in found], [one.stderr for one in found], [n] * 5
        )
        return Result(average.ci_low <= truths.mean() <= average.ci_high)

    return draw


def series(n: int, aggregation: str):
    """Six checkpoints that do not get better."""

    def draw(random: Random, seed: int) -> Result:
        if aggregation == "mean":
            easy = random.beta(2, 2, n)
            runs = [(random.random(n) < easy).astype(float) for _ in range(6)]
        else:
            first, _ = perplexity_data(random, n, None)
            runs = [
                np.column_stack([first[:, 0] * random.normal(1, 0.03, n), first[:, 1]])
                for _ in range(6)
            ]
        found = trend(runs, range(6), aggregation, seed=seed, draws=DRAWS)
        return Result(found.ci_low <= 0 <= found.ci_high, found.p)

    return draw


def quantile(n: int, q: float):
    """Log-normal times whose batches share a third of their variance."""

    def draw(random: Random, seed: int) -> Result:
        codes = clusters_of(random, n)
        shared, own = random.normal(size=codes.max() + 1), random.normal(size=n)
        values = np.exp(math.sqrt(1 / 3) * shared[codes] + math.sqrt(2 / 3) * own)
        parts = np.split(values, np.flatnonzero(np.diff(codes)) + 1)
        (ends,) = clustered_quantile_intervals(parts, [q])
        truth = float(np.exp(scipy.special.ndtri(q)))
        return Result(None if ends is None else ends[0] <= truth <= ends[1])

    return draw


def scenarios() -> list[Scenario]:
    """Every row of the table."""
    rows = []
    for n in SIZES:
        for clustered in (False, True):
            prefix = "cluster " if clustered else ""
            for name, band in BANDS.items():
                rows += [
                    Scenario(
                        f"{prefix}Wilson", f"proportion {name}", n, proportion(band, n, clustered)
                    ),
                    Scenario(
                        f"{prefix}Tango", f"paired, {name}", n, paired_binary(band, n, clustered)
                    ),
                ]
            high = BANDS["near 1"]
            rows += [
                Scenario(f"{prefix}Tango, margin 0.05", "paired, middle", n,
                         paired_binary(BANDS["middle"], n, clustered, 0.05)),
                Scenario(f"{prefix}Tango, margin 0.05", "paired, near 1", n,
                         paired_binary(high, n, clustered, 0.05)),
                Scenario(f"{prefix}t", "normal", n, mean(n, "normal", clustered)),
                Scenario(f"{prefix}paired t", "graded", n, paired_mean(n, clustered)),
                Scenario(f"{prefix}paired t, margin 0.05", "graded", n,
                         paired_mean(n, clustered, 0.05)),
                Scenario(f"{prefix}bootstrap", "perplexity", n,
                         corpus("weighted_perplexity", n, clustered)),
                Scenario(f"{prefix}paired bootstrap", "perplexity", n,
                         paired_corpus(n, clustered)),
                Scenario(f"{prefix}paired bootstrap, margin 0.1", "perplexity", n,
                         paired_corpus(n, clustered, 0.1)),
                Scenario(f"{prefix}Tango or t, margin 10 %", "paired, middle", n,
                         share_of_binary(n, clustered)),
                Scenario(f"{prefix}paired t, margin 10 %", "graded", n,
                         share_of_mean(n, clustered)),
                Scenario(f"{prefix}paired bootstrap, margin 10 %", "perplexity", n,
                         share_of_corpus(n, clustered)),
            ]  # fmt: skip
        rows += [
            Scenario("t", "graded, low", n, mean(n, "graded, low", False)),
            Scenario("t", "graded, high", n, mean(n, "graded, high", False)),
            Scenario("bootstrap", "F1", n, corpus("f1", n, False)),
            Scenario("bootstrap", "MCC", n, corpus("matthews_corrcoef", n, False)),
            Scenario("macro average", "five tasks", n, macro(n)),
            Scenario("trend", "accuracy of six runs", n, series(n, "mean")),
            Scenario("bootstrap trend", "perplexity of six runs", n,
                     series(n, "weighted_perplexity")),
            *(Scenario("cluster binomial", f"p{100 * q:.0f} of times", n, quantile(n, q))
              for q in (0.5, 0.9, 0.99)),
            *(Scenario("unpaired", f"two proportions {name}", n, unpaired(band, n))
              for name, band in BANDS.items()),
        ]  # fmt: skip
    return rows
