"""`evalkit compare`: two runs, sample by sample."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from evalkit.cli.output import DEFAULT_STORE, StoreOption, note, print_table
from evalkit.errors import UsageError

_RUN = "id, name, tag:KEY=VALUE or latest"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("compare")(compare)


def compare(
    baseline: Annotated[str, typer.Argument(help=f"The run to compare with: {_RUN}.")],
    candidate: Annotated[str, typer.Argument(help=f"The run in question: {_RUN}.")],
    store: StoreOption = DEFAULT_STORE,
    flips: Annotated[
        int, typer.Option("--flips", help="Show up to so many changed samples of each task.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown page instead.")
    ] = False,
) -> None:
    """Compare two runs on the samples both have: differences, intervals, paired tests."""
    if flips < 0:
        raise UsageError(f"--flips {flips} is negative; give 0 or more.")
    if as_json and markdown:
        raise UsageError("--json and --markdown exclude each other; give one.")
    from evalkit import results
    from evalkit.results import text

    found = results.compare(baseline, candidate, store)
    changed = results.flips(found, limit=flips) if flips else []
    if as_json:
        shown = found.to_dict() | {"flips": [asdict(flip) for flip in changed]}
        print(json.dumps(shown, allow_nan=False))
        return
    if markdown:
        print(text.comparison_markdown(found, changed), end="")
        return
    print_table(text.DIFFERENCE_HEADERS, map(text.difference_cells, found.differences))
    print(f"\n{text.LEGEND}")
    if changed:
        print()
        print_table(text.FLIP_HEADERS, map(text.flip_cells, changed))
    for remark in found.notes:
        note(f"note: {remark}")
    print(f"next: evalkit gate {found.candidate.run_id} --baseline {found.baseline.run_id}")
