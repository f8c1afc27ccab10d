"""`evalkit show`: what a task asks, or where a checkpoint comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import note, plain, print_table
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.registry import Entry, Registry
    from evalkit.registry.describe import Description
    from evalkit.types import Document

_MARK = {True: "↑", False: "↓", None: ""}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("show")(show)


def show(
    name: Annotated[
        str, typer.Argument(help="A task, suite or task file; or the folder of a checkpoint.")
    ],
    num_fewshot: options.Fewshot = None,
    mirror: options.Mirror = None,
    include_path: options.IncludePath = None,
    trust_functions: options.TrustFunctions = None,
) -> None:
    """Show what a task asks, by one rendered prompt, or the pedigree of a checkpoint."""
    if Path(name).is_dir():
        _show_checkpoint(Path(name))
        return
    from evalkit.cli.quiet import quick_imports, quiet_libraries

    quiet_libraries()
    with quick_imports():
        from evalkit.registry import Leaf, Registry, Trust
        from evalkit.registry.describe import describe as described

    root = None if mirror is None else Path(mirror)
    trust = Trust(tuple(map(Path, trust_functions or [])))
    registry = Registry([Path(folder) for folder in include_path or []], root, trust)
    entries = registry.match(name)
    if len(entries) > 1:
        raise UsageError(f"{name} stands for {len(entries)} tasks; see 'evalkit ls tasks {name}'.")
    if entries[0].kind in ("group", "tag"):
        _show_suite(registry, entries[0])
    else:
        _print_task(described(registry, Leaf(entries[0], {}), root, num_fewshot))


def _show_checkpoint(folder: Path) -> None:
    if (folder / "evalkit.json").is_file():
        from evalkit.training.pedigree import describe_pedigree

        print(plain(describe_pedigree(folder)))
    elif (folder / "config.json").is_file():
        raise UsageError(
            f"{folder} is a checkpoint that evalkit did not train: it has no evalkit.json, so "
            "nothing is known of how it was made."
        )
    else:
        raise UsageError(f"{folder} is no checkpoint: it has neither evalkit.json nor config.json.")


def _show_suite(registry: "Registry", suite: "Entry") -> None:
    leaves = registry.select([suite.name if suite.path is None else str(suite.path)]).leaves
    print(plain(f"{suite.name}, a suite of {len(leaves)} tasks ({registry.origin(suite)})\n"))
    print_table(
        ("Task", "Family", "Source"),
        [
            (leaf.entry.name, leaf.entry.family, registry.origin(leaf.entry))
            for leaf in leaves.values()
        ],
    )


def _print_task(task: "Description") -> None:
    family = "" if task.family is None else f" · {task.family}"
    print(plain(f"{task.name}{family} · {task.kind}"))
    if task.about:
        print(plain(task.about))
    print()
    for heading, text in task.facts.items():
        print(plain(f"{heading:<10}{text}"))
    if task.metrics:
        shown = (
            f"{name} {_MARK[metric.higher_is_better]}".strip()
            for name, metric in task.metrics.items()
        )
        print(plain(f"{'Metrics':<10}{', '.join(shown)}"))
    if task.document is None:
        note(f"No prompt can be shown: {task.problem}")
    else:
        print_document(task.document, task.right)


def print_document(document: "Document", right: tuple[int, ...] = ()) -> None:
    """Print what is asked about one document, and the answers to it."""
    from evalkit.registry.describe import prompt_of
    from evalkit.types import RequestKind

    first = document.requests[0]
    scored = first.kind is RequestKind.ROLLING
    print(f"\n--- {'text' if scored else 'prompt'} of document {document.doc_id} ---")
    print(plain(prompt_of(document)).rstrip("\n"))
    print("--- end ---")
    if document.choices:
        print("Answers (* right):" if right else "Answers:")
        for place, choice in enumerate(document.choices):
            print(plain(f"{'*' if place in right else ' '} {choice!r}"))
    elif first.kind is RequestKind.LOGLIKELIHOOD:
        print(plain(f"Scored: {first.continuation!r}"))
    elif not scored and document.target:
        print(plain(f"Wanted: {document.target!r}"))
    if first.decoding is not None:
        stops = ", ".join(map(repr, first.decoding.until)) or "nothing but its length"
        print(plain(f"At most {first.decoding.max_new_tokens} tokens, ended by {stops}"))
