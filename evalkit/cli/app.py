"""Assembles the subcommands; every expected failure is printed here, once, as one sentence."""

import sys
import traceback
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evalkit import __version__
from evalkit.cli import (
    baseline,
    compare,
    compress,
    corpus,
    dashboard,
    demo,
    detector,
    finetune,
    forgetting,
    gate,
    import_,
    judge,
    ls,
    mirror,
    noise,
    power,
    profile,
    report,
    rerun,
    run,
    runs,
    show,
    sweep,
    train,
    validate,
    validate_probes,
    variants,
    watch,
)
from evalkit.cli.output import fail, plain
from evalkit.errors import EvalkitError, StoppedError, UsageError
from evalkit.extras import how_to_install
from evalkit.redact import without_secrets


class _Commands(TyperGroup):
    """Commands that say so when they are stopped; those that can go on say how, themselves."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise StoppedError("Stopped.") from error


app = typer.Typer(
    name="evalkit",
    cls=_Commands,
    help="Evaluate the language models you train: measure, compare, gate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda word: word.replace("_", "-"),
    },
)
for command in (
    run,
    watch,
    ls,
    show,
    validate,
    mirror,
    runs,
    import_,
    rerun,
    compare,
    profile,
    gate,
    baseline,
    power,
    noise,
    dashboard,
    report,
    corpus,
    train,
    finetune,
    sweep,
    compress,
    variants,
    detector,
    validate_probes,
    forgetting,
    judge,
    demo,
):
    command.register(app)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"evalkit {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the console script; exits with the code of the design.

    0 done, 1 the gate found a regression, 2 wrong usage or input, 3 failed or incomplete.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter shows its number
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except EvalkitError as error:
        fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        about = f"{error.filename}: " if error.filename else ""
        fail(f"{about}{error.strerror or error}.", EvalkitError.exit_code)
    except Exception as error:
        missing = how_to_install(error) if isinstance(error, ModuleNotFoundError) else None
        if missing:
            fail(f"This needs {missing}", UsageError.exit_code)
        # Python would exit with 1, which CI reads as a regression.
        print(plain(without_secrets(traceback.format_exc())), file=sys.stderr)
        fail(f"This is a fault in evalkit, please report it: {error!r}", EvalkitError.exit_code)
