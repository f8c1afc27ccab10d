"""`evalkit compare`: runs, sample by sample."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note, plain, print_table, store_option
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.results import Comparison, Series, Standing

_RUN = "id, name, tag:KEY=VALUE or latest"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("compare")(compare)


_Baseline = Annotated[str, typer.Argument(help=f"The run to compare with: {_RUN}.")]
_Candidates = Annotated[list[str], typer.Argument(help="The runs in question; same forms.")]
_Series = Annotated[
    bool, typer.Option("--series", help="Take the runs as one series: curves, one trend test each.")
]
_Unpaired = Annotated[
    bool, typer.Option("--unpaired", help="Compare the scores of what cannot be paired.")
]
_Flips = Annotated[
    int, typer.Option("--flips", help="Show up to so many changed samples of each task.")
]
_Plot = Annotated[
    Path | None, typer.Option("--plot", help="Draw a forest plot (series: curves) to a PNG.")
]
_Markdown = Annotated[bool, typer.Option("--markdown", help="Print a Markdown page instead.")]


def compare(
    baseline: _Baseline,
    candidates: _Candidates,
    store: options.Store = options.DEFAULT_STORE,
    series: _Series = False,
    unpaired: _Unpaired = False,
    flips: _Flips = 0,
    plot: _Plot = None,
    as_json: options.Json = False,
    markdown: _Markdown = False,
) -> None:
    """Compare runs on the samples they share: differences, intervals, paired tests."""
    if flips < 0:
        raise UsageError(f"--flips {flips} is negative; give 0 or more.")
    if as_json and markdown:
        raise UsageError("--json and --markdown exclude each other; give one.")
    if series and (unpaired or flips):
        raise UsageError("--series goes with neither --unpaired nor --flips.")
    from evalkit import results

    if plot is not None:
        from evalkit.results.plots import check_plot_path

        check_plot_path(plot)
    if series:
        runs = [baseline, *candidates]
        _show_series(results.compare_series(runs, store), plot, as_json, markdown)
        return
    found = results.compare_many(baseline, candidates, store, unpaired=unpaired)
    _show(found, _places(found, store), flips, plot, as_json, markdown)


def _places(found: Sequence["Comparison"], store: str) -> list["Standing"]:
    """Who cannot be told from the best, where there are more than two runs."""
    if len(found) < 2:
        return []
    from evalkit import results

    runs = [found[0].baseline, *(comparison.candidate for comparison in found)]
    if len({run.run_id for run in runs}) < len(runs):
        raise UsageError("A run is named twice; name each of several runs once.")
    return results.standings(results.Store(store), runs)


def _show(
    found: Sequence["Comparison"],
    places: Sequence["Standing"],
    flips: int,
    plot: Path | None,
    as_json: bool,
    markdown: bool,
) -> None:

    if plot is not None:
        from evalkit.results.plots import forest_plot

        forest_plot(found, plot)
    if as_json:
        print(json.dumps(_as_dict(found, places, flips), allow_nan=False))
    elif markdown:
        print("\n".join(_pages(found, places, flips)), end="")
    else:
        _print(found, places, flips)
    if plot is not None and not (as_json or markdown):
        print(f"plot: {plot}")


def _pages(found: Sequence["Comparison"], places: Sequence["Standing"], limit: int) -> list[str]:
    from evalkit import results
    from evalkit.results import text

    pages = [
        text.comparison_markdown(
            comparison,
            results.flips(comparison, limit=limit) if limit else (),
            results.category_flips(comparison) if limit else (),
            results.macro_difference(comparison),
        )
        for comparison in found
    ]
    return [*pages, *([text.standings_markdown(places)] if places else [])]


def _as_dict(
    found: Sequence["Comparison"], places: Sequence["Standing"], limit: int
) -> dict[str, object]:
    from evalkit import results

    shown: list[dict[str, object]] = []
    for comparison in found:
        average = results.macro_difference(comparison)
        changed = results.flips(comparison, limit=limit) if limit else []
        by_category = results.category_flips(comparison) if limit else []
        shown.append(
            comparison.to_dict()
            | {"macro_average": average and asdict(average)}
            | {"flips": [asdict(flip) for flip in changed]}
            | {"flips_by_category": [asdict(row) for row in by_category]}
        )
    if len(shown) == 1:
        return shown[0]
    return {"comparisons": shown, "standings": [asdict(place) for place in places]}


def _print(found: Sequence["Comparison"], places: Sequence["Standing"], limit: int) -> None:
    from evalkit import results
    from evalkit.results import text

    for comparison in found:
        if len(found) > 1:
            print(plain(f"{comparison.candidate.name} against {comparison.baseline.name}\n"))
        print_table(text.DIFFERENCE_HEADERS, map(text.difference_cells, comparison.differences))
        print()
        if average := text.macro_line(results.macro_difference(comparison)):
            print(f"{average}\n")
        if limit and (by_category := results.category_flips(comparison)):
            print_table(text.CATEGORY_HEADERS, map(text.category_cells, by_category))
            print()
        if limit and (changed := results.flips(comparison, limit=limit)):
            print_table(text.FLIP_HEADERS, map(text.flip_cells, changed))
            print()
        for remark in comparison.notes:
            note(f"note: {remark}")
    if places:
        print("Who cannot be told from the best:\n")
        print_table(text.STANDING_HEADERS, map(text.standing_cells, places))
        print()
    print(text.LEGEND)
    last = found[-1]
    where = store_option(last.store.url)
    print(f"next: evalkit gate {last.candidate.run_id} --baseline {last.baseline.run_id}{where}")


def _show_series(series: "Series", plot: Path | None, as_json: bool, markdown: bool) -> None:
    from evalkit.results import text

    if plot is not None:
        from evalkit.results.plots import curve_plot

        curve_plot(series, plot)
    cells = map(text.curve_cells, series.curves)
    if as_json:
        print(json.dumps(series.to_dict(), allow_nan=False))
    elif markdown:
        print(text.markdown_table(text.CURVE_HEADERS, cells))
        for remark in series.notes:
            print(f"\n- {text.safe(remark)}")
    else:
        print(plain("Series: " + " → ".join(run.name for run in series.runs)) + "\n")
        print_table(text.CURVE_HEADERS, cells)
        print()
        for remark in series.notes:
            note(f"note: {remark}")
        unit = "training step" if series.by_step else "run"
        print(f"Slope: change of the metric per {unit}, over the samples all runs share.")
        if plot is not None:
            print(f"plot: {plot}")
