"""Does the sequential gate keep its promises? See `make calibrate`.

Simulates pairs of runs on tasks of 1,000 documents with five rules each, gates them twice: in
rounds, stopping as soon as every rule is decided, and in full. Writes reports/sequential.md and
reports/sequential.png; exits with 1 where a promise is broken. The split of the level and the
rounds are the gate's own.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.gating.sequential import EARLY_SHARE, LEAST_ROUND, ROUND_SHARE
from evalkit.stats import compare_pairs, holm
from evalkit.stats.jackknife import jackknife
from evalkit.stats.sequential import Side, asymptotic_side, bounded_side

REPORTS = Path(__file__).parents[1] / "reports"
ALPHA, RULES, DOCUMENTS, MARGIN = 0.05, 5, 1_000, 0.02
KINDS = ("accuracy", "graded", "perplexity")


@dataclass(frozen=True)
class Gated:
    """One pair of runs, gated: its verdict and the share of samples it took."""

    verdict: str
    share: float
    rules: tuple[str, ...]


def rule_data(random: np.random.Generator, kind: str, loss: float) -> np.ndarray:
    """Statistics of both runs on one task, shape (n, 2) or (n, 4); the loss beyond 0 is `loss`."""
    n = DOCUMENTS
    if kind == "accuracy":
        differ = max(0.2, abs(loss) + 0.05)
        u = random.random(n)
        old = np.where(u < (differ + loss) / 2, 1.0, 0.0)
        new = np.where((u >= (differ + loss) / 2) & (u < differ), 1.0, 0.0)
        both = (u >= differ) & (random.random(n) < 0.5)
        return np.column_stack([np.maximum(old, both), np.maximum(new, both)])
    if kind == "graded":
        # Within 0 and 1 without clipping at the margin, so that the truth there is exact.
        old = 0.2 + 0.6 * random.beta(3, 3, n)
        new = np.clip(old - loss + random.uniform(-0.17, 0.17, n), 0, 1)
        return np.column_stack([old, new])
    words = np.exp(random.normal(3, 0.4, n)).round() + 1
    level = random.normal(2.0, 0.3, n)
    # A loss of 0.02 is a perplexity 2 % higher.
    old, new = level, level + np.log1p(loss) + random.normal(0, 0.15, n)
    return np.column_stack([-words * old, words, -words * new, words])


def excess(kind: str, rows: np.ndarray) -> np.ndarray:
    """Excess over the margin of bounded metrics, sample by sample."""
    return rows[:, 0] - rows[:, 1] - MARGIN


def perplexity_excess(sums: np.ndarray) -> np.ndarray:
    old = np.exp(-sums[..., 0] / sums[..., 1])
    new = np.exp(-sums[..., 2] / sums[..., 3])
    return new - old * (1 + MARGIN)


def side(kind: str, rows: np.ndarray) -> Side | None:
    """One look at one rule, as the gate looks."""
    alpha, beta = EARLY_SHARE * ALPHA / RULES, ALPHA / RULES
    if kind != "perplexity":
        return bounded_side(excess(kind, rows), -1 - MARGIN, 1 - MARGIN, alpha, beta)
    total = rows.sum(axis=0)
    estimate, deviation = jackknife(
        perplexity_excess(total - rows), float(perplexity_excess(total))
    )
    return asymptotic_side(estimate, deviation, len(rows), DOCUMENTS, alpha, beta)


def full_p(kind: str, rows: np.ndarray, seed: int) -> tuple[bool, float]:
    """Whether the whole task is beyond its margin, and the p-value of lying at it."""
    if kind != "perplexity":
        found = compare_pairs(rows[:, 0], rows[:, 1], "mean", null=-MARGIN, draws=400, seed=seed)
        beyond = float(excess(kind, rows).mean()) > 0
        return beyond, float(found.p or 1.0) if beyond else 1.0
    total = rows.sum(axis=0)
    over = float(perplexity_excess(total))
    old = float(np.exp(-total[0] / total[1]))
    if over <= 0:
        return False, 1.0
    found = compare_pairs(
        rows[:, :2], rows[:, 2:], "weighted_perplexity", null=MARGIN * old, share=MARGIN,
        draws=400, seed=seed,
    )  # fmt: skip
    return True, float(found.p or 1.0)


def verdict(rules: list[str]) -> str:
    """Of a gate, from its rules'."""
    return next((word for word in ("regressed", "inconclusive") if word in rules), "pass")


def conclude(findings: list[tuple[bool, float]], alpha: float) -> list[str]:
    """Verdicts of tested rules, Holm-corrected."""
    corrected = holm([p for _, p in findings])
    return [
        "pass" if not beyond else "regressed" if p < alpha else "inconclusive"
        for (beyond, _), p in zip(findings, corrected, strict=True)
    ]


def full_gate(data: list[tuple[str, np.ndarray]], seed: int) -> Gated:
    """All samples at once, by the ordinary tests."""
    rules = conclude([full_p(kind, rows, seed) for kind, rows in data], ALPHA)
    return Gated(verdict(rules), 1.0, tuple(rules))


def sequential_gate(data: list[tuple[str, np.ndarray]], seed: int) -> Gated:
    """In rounds; a rule stops taking samples when it is decided."""
    step = max(LEAST_ROUND, round(ROUND_SHARE * DOCUMENTS))
    sides: list[Side | None] = [None] * len(data)
    used = [DOCUMENTS] * len(data)
    for i, (kind, rows) in enumerate(data):
        for count in range(step, DOCUMENTS + 1, step):
            sides[i] = side(kind, rows[:count])
            if sides[i] is not None:
                used[i] = count
                break
    left = [
        full_p(kind, rows, seed) if found is None else (False, 1.0)
        for (kind, rows), found in zip(data, sides, strict=True)
    ]
    words = {Side.BEYOND: "regressed", Side.WITHIN: "pass"}
    late = conclude(left, ALPHA * (1 - EARLY_SHARE))
    rules = [
        word if found is None else words[found] for found, word in zip(sides, late, strict=True)
    ]
    return Gated(verdict(rules), sum(used) / (DOCUMENTS * len(data)), tuple(rules))


def simulate(losses: str, pairs: int, seed: int) -> list[tuple[Gated, Gated]]:
    """Gate so many pairs both ways.

    Args:
        losses: "limit" (every rule exactly at its margin: the worst case of false alarms),
            "equal" (no loss at all), "regression" (0.12 to 0.25 beyond), "gain" (as much better),
            "mixed" (within 0.03 of a centre from -0.12 to 0.12).
        pairs: How many.
        seed: Of everything.
    """
    random = np.random.default_rng([seed, *map(ord, losses)])
    found = []
    for number in range(pairs):
        data = []
        centre = random.uniform(-0.12, 0.12)
        for rule in range(RULES):
            kind = KINDS[rule % 2] if losses == "limit" else KINDS[rule % len(KINDS)]
            loss = {
                "limit": MARGIN,
                "equal": 0.0,
                "regression": random.uniform(0.12, 0.25),
                "gain": -random.uniform(0.12, 0.25),
                "mixed": centre + random.uniform(-0.03, 0.03),
            }[losses]
            data.append((kind, rule_data(random, kind, loss)))
        found.append((sequential_gate(data, number), full_gate(data, number)))
    return found


def limit_perplexity(pairs: int) -> float:
    """False alarms of one perplexity rule at its margin, looked at after every round."""
    random = np.random.default_rng(77)
    alarms = 0
    for number in range(pairs):
        rows = rule_data(random, "perplexity", MARGIN)
        alarms += sequential_gate([("perplexity", rows)], number).verdict == "regressed"
    return alarms / pairs


def main() -> None:
    """Parse, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--output", type=Path, default=REPORTS)
    chosen = parser.parse_args()
    found = {
        kind: simulate(kind, chosen.pairs, 1) for kind in ("regression", "gain", "mixed", "equal")
    }
    found["limit"] = simulate("limit", 4 * chosen.pairs, 1)
    rows, broken = [], []
    for kind, pairs in found.items():
        shares = [sequential.share for sequential, _ in pairs]
        alarms = float(np.mean([sequential.verdict == "regressed" for sequential, _ in pairs]))
        agree = float(np.mean([a.verdict == b.verdict for a, b in pairs]))
        each = float(
            np.mean([x == y for a, b in pairs for x, y in zip(a.rules, b.rules, strict=True)])
        )
        rows.append((kind, len(pairs), float(np.median(shares)), alarms, agree, each))
        print(rows[-1], flush=True)
        if kind in ("limit", "equal") and alarms > ALPHA:
            broken.append(f"false alarms of {kind}: {alarms:.1%}")
        if kind in ("regression", "gain") and np.median(shares) > 0.3:
            broken.append(f"median share of {kind}: {np.median(shares):.0%}")
        if agree < 0.95:
            broken.append(f"agreement of {kind}: {agree:.1%}")
    perplexity = limit_perplexity(4 * chosen.pairs)
    print("perplexity at its limit", perplexity, flush=True)
    if perplexity > ALPHA:
        broken.append(f"false alarms of a perplexity at its limit: {perplexity:.1%}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    text = report(rows, perplexity, broken)
    (chosen.output / "sequential.md").write_text(text, encoding="utf-8")
    plot(found, chosen.output / "sequential.png")
    print(f"Wrote {chosen.output}/sequential.md and sequential.png.")
    sys.exit(bool(broken))


def report(rows: list[tuple], perplexity: float, broken: list[str]) -> str:
    lines = [
        f"| {kind} | {n:,} | {share:.0%} | {alarms:.1%} | {agree:.1%} | {each:.1%} |"
        for kind, n, share, alarms, agree, each in rows
    ]
    verdict = "Broken: " + "; ".join(broken) + "." if broken else "No promise is broken."
    return f"""# The sequential gate, simulated

Each pair of runs is gated by {RULES} rules (accuracy, graded answers, perplexity; `max_drop` 0.02
or `max_rise` 2 %) on {DOCUMENTS:,} documents each, twice: in rounds of {ROUND_SHARE:.0%}, looked
at after every one, and in full at once. {verdict}

| pairs | count | median share of samples | regressed | same verdict of the gate | of each rule |
| --- | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(lines)}

*regression*: every rule loses 0.12 to 0.25; *gain*: as much better; *mixed*: rules within 0.03 of
a centre anywhere from 0.12 worse to 0.12 better; *equal*: the same skill; *limit*: every rule
exactly at its margin (accuracy and graded answers), the worst case for false alarms, so
"regressed" may not exceed {ALPHA:.0%} there. A single perplexity rule at its limit regresses
falsely in {perplexity:.1%}.

Method: betting e-processes for means of values between 0 and 1 (Waudby-Smith and Ramdas 2024),
asymptotic confidence sequences on the jackknife otherwise (Waudby-Smith et al. 2024). Two fifths of
the level are spent while sampling, shared evenly by the rules; the rest is left for the ordinary
tests, Holm-corrected, of what is still open when all samples are used.

![Share of samples used](sequential.png)
"""


def plot(found: dict[str, list[tuple[Gated, Gated]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(7, 3.2))
    for kind, pairs in found.items():
        shares = np.sort([sequential.share for sequential, _ in pairs])
        ax.plot(shares, np.arange(1, len(shares) + 1) / len(shares), label=kind)
    ax.axvline(0.3, color="black", linewidth=0.6, linestyle=":")
    ax.set_xlabel("share of samples used")
    ax.set_ylabel("share of gates decided")
    ax.legend(fontsize=8)
    ax.grid(linewidth=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
