"""The study as a page and as a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import UsageError
from evalkit.validity.criteria import RANK_CORRELATION, ProbeVerdict
from evalkit.validity.study import StudySettings, cells

_HEADERS = ("Planted", "Probe", "Spearman", "0 from highest", "Other effects", "Counts")


_OTHERS = """## Other effects at their highest level

Change of the figure against checkpoints that nothing is planted in, and half the width of its
interval. The interval is of the documents asked, not of the luck of a training: by how much two
trainings that differ in the seed alone are apart stands beside it.
"""


def verdict_rows(verdicts: Sequence[ProbeVerdict]) -> list[tuple[str, ...]]:
    """One row a probe, as text; the columns are those of `HEADERS`."""
    return [
        (
            verdict.planted.knob,
            f"{verdict.planted.task} {verdict.planted.metric}",
            "not asked" if verdict.correlation is None else f"{verdict.correlation:.2f}",
            {None: "not asked", True: "apart", False: "NOT APART"}[verdict.apart],
            _moves(verdict),
            "yes" if verdict.holds else "NO",
        )
        for verdict in verdicts
    ]


HEADERS = _HEADERS
"""Columns of `verdict_rows`."""


def markdown(
    settings: StudySettings, figures: pd.DataFrame, verdicts: Sequence[ProbeVerdict], plot_name: str
) -> str:
    """The report."""
    from tabulate import tabulate

    done, wanted = figures["cell"].nunique(), len(cells(settings))
    missing = "" if done == wanted else f"**Unfinished: {done} of {wanted} are measured so far.**\n"
    overrides = ", ".join(f"{key} = {value}" for key, value in settings.overrides.items())
    sections = [
        f"""# Do the probes find what was planted?

`make validate-probes`: {wanted} checkpoints of the micro-world
({overrides or "the usual recipe"}), each measured by every probe. For each of
{len(settings.seeds)} seeds there is one that nothing is planted in, one for each effect alone at
its highest level, and one for each level between, in which all effects are planted at once, each at
another level from checkpoint to checkpoint. A probe counts when

- its figure follows the planted level: Spearman's correlation of at least {RANK_CORRELATION}, over
  all levels and seeds;
- its own 95 % intervals without any effect and with its effect alone do not meet, for each seed;
- no other effect, alone at its highest level, moves the figure by more than the 95 % interval of
  the difference of two runs (means over seeds).
""",
        missing,
        tabulate(verdict_rows(verdicts), headers=_HEADERS, tablefmt="pipe", disable_numparse=True),
        f"\n![Each probe's figure against the planted level]({plot_name})\n",
        "## Figures\n\nBy planted level; seed by seed, with 95 % intervals.\n",
        *(_figures(settings, figures, verdict) for verdict in verdicts),
        _OTHERS,
        _other_effects(verdicts),
    ]
    return "\n".join(sections) + "\n"


def plot(figures: pd.DataFrame, verdicts: Sequence[ProbeVerdict], path: Path) -> None:
    """Draw each probe's figure against the level, and what the other effects do to it.

    Raises:
        UsageError: matplotlib is missing, or the file cannot be written.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise UsageError("Plots need matplotlib: pip install 'evalkit[plots]'.") from error
    columns = min(2, len(verdicts))
    lines = -(-len(verdicts) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(4.6 * columns, 3.2 * lines), squeeze=False
    )
    for ax, verdict in zip(axes.flat, verdicts, strict=False):
        _panel(ax, figures, verdict)
    for ax in list(axes.flat)[len(verdicts) :]:
        ax.set_visible(False)
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from error
    finally:
        pyplot.close(figure)


def _moves(verdict: ProbeVerdict) -> str:
    if not verdict.moves:
        return "not asked"
    beyond = [move.knob for move in verdict.moves if not move.is_within]
    return f"MOVED BY {', '.join(beyond)}" if beyond else f"still ({len(verdict.moves)})"


def _rows_of(figures: pd.DataFrame, verdict: ProbeVerdict) -> pd.DataFrame:
    """A probe's figures where its own effect or none or all were planted, by `level`."""
    planted = verdict.planted
    mine = figures[(figures["task"] == planted.task) & (figures["metric"] == planted.metric)]
    own = mine[mine["alone"].isna() | (mine["alone"] == planted.knob)]
    return own.assign(level=own[planted.knob]).sort_values(["level", "seed"])


def _figures(settings: StudySettings, figures: pd.DataFrame, verdict: ProbeVerdict) -> str:
    from tabulate import tabulate

    rows = _rows_of(figures, verdict)
    cells = {
        (row.level, row.seed): f"{row.value:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]"
        for row in rows.itertuples()
    }
    table = [
        (f"{level:g}", *(cells.get((level, seed), "") for seed in settings.seeds))
        for level in settings.levels
    ]
    headers = ["Level", *(f"seed {seed}" for seed in settings.seeds)]
    planted = verdict.planted
    title = f"### {planted.knob}: {planted.task} {planted.metric}\n"
    return f"{title}\n{tabulate(table, headers=headers, tablefmt='pipe', disable_numparse=True)}\n"


def _other_effects(verdicts: Sequence[ProbeVerdict]) -> str:
    from tabulate import tabulate

    rows = [
        (
            verdict.planted.task,
            move.knob,
            f"{move.change:+.3f}",
            f"{move.reach:.3f}",
            "" if verdict.between_seeds is None else f"{verdict.between_seeds:.3f}",
            "within" if move.is_within else "BEYOND",
        )
        for verdict in verdicts
        for move in verdict.moves
    ]
    headers = ("Probe", "Effect", "Change", "Interval ±", "Between seeds", "")
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)


def _panel(ax: Any, figures: pd.DataFrame, verdict: ProbeVerdict) -> None:
    planted = verdict.planted
    for number, (seed, rows) in enumerate(_rows_of(figures, verdict).groupby("seed")):
        _points(ax, rows, 0.012 * number, marker="o-", colour=f"C{number}", label=f"seed {seed}")
    mine = figures[(figures["task"] == planted.task) & (figures["metric"] == planted.metric)]
    for number, move in enumerate(verdict.moves):
        rows = mine[mine["alone"] == move.knob].assign(level=1.0)
        label = "another effect at its highest" if number == 0 else None
        _points(ax, rows, 0.05 + 0.03 * number, marker="x", colour="0.6", label=label)
    ax.set_xlabel(f"planted: {planted.knob}")
    ax.set_ylabel(planted.metric)
    ax.set_title(planted.task, fontsize=10)
    ax.legend(fontsize=7)


def _points(
    ax: Any, rows: pd.DataFrame, shift: float, marker: str, colour: str, label: str | None
) -> None:
    rows = rows.sort_values("level")
    low = (rows["value"] - rows["ci_low"]).clip(lower=0)
    high = (rows["ci_high"] - rows["value"]).clip(lower=0)
    ax.errorbar(
        rows["level"] + shift, rows["value"], yerr=[low, high], fmt=marker, color=colour,
        markersize=4, linewidth=1, capsize=2, label=label,
    )  # fmt: skip
