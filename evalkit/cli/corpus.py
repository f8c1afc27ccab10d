"""`evalkit corpus`: from raw text to token ids with a pedigree."""

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, note, print_table
from evalkit.cli.recipes import (
    HelpRecipeOption,
    OutOption,
    RecipeArgument,
    SetOption,
    overrides,
    place,
    required,
)
from evalkit.errors import UsageError
from evalkit.settings import describe

if TYPE_CHECKING:
    from evalkit.training.corpus import Datasheet


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("corpus")(corpus)


def corpus(
    recipe: RecipeArgument = None,
    out: OutOption = None,
    set_: SetOption = None,
    mirror: options.MirrorFolder = None,
    include_path: Annotated[list[Path] | None, typer.Option(help=describe("include_path"))] = None,
    help_recipe: HelpRecipeOption = False,
) -> None:
    """Collect, clean, deduplicate, decontaminate, describe and tokenize a recipe's text."""
    from evalkit import training

    if help_recipe:
        print(training.describe_recipe(), end="")
        return
    from evalkit.cli.quiet import quiet_libraries

    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    quiet_libraries()
    from evalkit.cli.task_texts import texts_of_tasks
    from evalkit.training.corpus import TextCorpus, prepare_corpus

    chosen = training.load_recipe(required(recipe, "corpus"), overrides(set_))
    if not isinstance(chosen.corpus, TextCorpus):
        raise UsageError(
            f"The corpus of {recipe} is not made from text; name some in corpus.collect.sources."
        )
    reader = prepare_corpus(
        chosen.corpus,
        chosen.tokenizer,
        place(out, chosen.name) / "corpus",
        context=chosen.architecture.context,
        name=chosen.name,
        tests=texts_of_tasks(chosen.corpus.decontaminate.tasks, include_path or (), mirror),
        mirror=mirror,
    )
    _tell(reader.datasheet)
    settings = "".join(f" --set {quote(text)}" for text in set_ or ())
    folder = f" --out {quote(str(out))}" if out else ""
    note(
        f"See {reader.folder / 'datasheet.md'}; learn from it: "
        f"evalkit train {recipe}{settings}{folder}"
    )


def _tell(sheet: "Datasheet") -> None:
    rows = [
        (stage.stage, f"{stage.documents_out:,}", f"{stage.characters_out:,}")
        for stage in sheet.stages
    ]
    print_table(("After", "Documents", "Characters"), rows)
    print(
        f"\n{sheet.tokens:,} tokens; {figure(sheet.tokenizer.fertility)} a word, "
        f"share unknown {figure(sheet.tokenizer.unknown_rate)}."
    )
    for source in sheet.sources:
        if source.skipped:
            first = source.skipped[0]
            note(
                f"warning: of {source.name}, {source.skipped_files} files and "
                f"{source.skipped_rows} rows could not be read; {first.id} is {first.reason}."
            )
    seconds = sum(sheet.seconds.values())
    note(f"{sheet.megabytes:.1f} MB in {seconds:.1f} s: {sheet.megabytes / seconds:.2f} MB/s.")
