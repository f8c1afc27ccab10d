"""`evalkit detector`: toxicity detectors in Detoxify's format, without a pickle."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.output import note
from evalkit.errors import UsageError

_Out = Annotated[Path, typer.Option("--out", help="Folder to write; must not hold files yet.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(help="Make detectors for the toxicity probes.", no_args_is_help=True)
    group.command("train")(train)
    group.command("convert")(convert)
    app.add_typer(group, name="detector")


def train(
    out: _Out = Path("checkpoints/detector"),
    seed: Annotated[int, typer.Option(help="Seed of examples and initial weights.")] = 0,
) -> None:
    """Train the micro-world's detector: a tiny BERT that knows its rude replies; ten seconds."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    _claim(out)
    write_micro_detector(out, seed)
    print(out)
    note(f"Use it: evalkit run --model CKPT --tasks micro_toxicity --detector-path {out}")


def write_micro_detector(out: Path, seed: int = 0) -> None:
    """Train the micro-world's detector and write its folder.

    Raises:
        UsageError: The folder cannot be written.
    """
    from evalkit.probes.detector import write_detector
    from evalkit.probes.detector.folder import detoxify_config
    from evalkit.training.detector import train_detector

    made = train_detector(seed=seed)
    names = type(made.model).__name__, type(made.tokenizer).__name__
    config = detoxify_config(*names, made.classes)
    try:
        write_detector(out, made.model.state_dict(), config, made.model.config, made.tokenizer)
    except OSError as error:
        raise UsageError(f"Cannot write the detector {out}: {error.strerror}.") from error


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint as Detoxify releases them.")],
    out: _Out = Path("checkpoints/detector"),
    encoder: Annotated[
        Path | None,
        typer.Option(help="Folder with the encoder's config.json and tokenizer; else the hub's."),
    ] = None,
) -> None:
    """Convert a pickled Detoxify checkpoint; only tensors and plain values are read from it."""
    from evalkit.cli.quiet import quiet_libraries

    quiet_libraries()
    from evalkit.probes.detector import convert_detector

    _claim(out)
    convert_detector(checkpoint, out, encoder)
    print(out)


def _claim(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} already holds something; name another folder with --out.")
