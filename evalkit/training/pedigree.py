"""Tells where a checkpoint comes from: its parents in turn, back to the corpus. Needs no torch."""

from collections.abc import Iterator
from pathlib import Path

from evalkit.errors import DataError
from evalkit.training.manifest import (
    MANIFEST_NAME,
    Ancestor,
    CorpusRecord,
    TrainingManifest,
    read_manifest,
)
from evalkit.training.world.knobs import Knobs

_MADE_WITH = ("evalkit", "torch", "transformers")


def describe_pedigree(folder: Path) -> str:
    """A checkpoint's pedigree as text, the checkpoint first and its oldest known parent last.

    Args:
        folder: A checkpoint that evalkit made.

    Raises:
        DataError: It is none, or its manifest is damaged.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise DataError(
            f"{folder} has no {MANIFEST_NAME}: evalkit did not make it, and knows no pedigree."
        )
    lines = [str(folder), *_checkpoint(manifest)]
    known = manifest.ancestor
    depth = 1
    while known is not None:
        lines += ["", *_indented([f"from {known.path}{_lost(known)}", *_ancestor(known)], depth)]
        depth, known = depth + 1, known.ancestor
    if manifest.parent and manifest.ancestor is None:
        lines += ["", f"  from {manifest.parent}, of which nothing more is known"]
    elif not manifest.parent:
        lines += ["", "from random weights"]
    return "\n".join(lines) + "\n"


def _checkpoint(manifest: TrainingManifest) -> Iterator[str]:
    yield _row("series", manifest.name)
    yield _row("made by", _stage(manifest.stage, manifest.step, manifest.tokens_seen))
    yield _row("loss", _losses(manifest))
    yield _row("size", f"{manifest.parameters:,} parameters")
    yield from _corpus(manifest.corpus)
    yield from _planted(manifest.knobs)
    yield _row("tokenizer", f"sha256 {manifest.tokenizer_sha256[:16]}")
    made_with = ", ".join(
        f"{name} {manifest.libraries[name]}" for name in _MADE_WITH if name in manifest.libraries
    )
    machine = manifest.hardware
    where = f"{machine.get('device', '?')}, {machine.get('cores', '?')} cores"
    if "precision" in machine:
        where += f" in {machine['precision']}"
    yield _row("made", f"{manifest.created} in {manifest.wall_s:,.0f} s on {where}, {made_with}")


def _ancestor(known: Ancestor) -> Iterator[str]:
    yield _row("series", known.name)
    yield _row("made by", _stage(known.stage, known.step, known.tokens_seen))
    if known.loss is not None:
        yield _row("loss", f"{known.loss:.4f} nats a token")
    yield from _corpus(known.corpus)
    yield from _planted(known.knobs)
    if known.tokenizer_sha256:
        yield _row("tokenizer", f"sha256 {known.tokenizer_sha256[:16]}")
    if known.created:
        yield _row("made", known.created)
    if known.ancestor is None:
        yield "from random weights, as far as is known"


def _stage(stage: str, step: int, tokens: int) -> str:
    return f"{stage}, {step:,} steps, {tokens:,} tokens" if step else stage


def _losses(manifest: TrainingManifest) -> str | None:
    told = [
        f"{value:.4f} {name}"
        for value, name in (
            (manifest.loss, "nats a token in training"),
            (manifest.held_out_loss, "on held-out text"),
        )
        if value is not None
    ]
    return ", ".join(told) or "not known"


def _corpus(corpus: CorpusRecord | None) -> Iterator[str]:
    if corpus is None:
        return
    documents = sum(corpus.passages.values())
    yield _row(
        "corpus",
        f"{documents:,} documents, {corpus.characters:,} characters, {corpus.tokens:,} tokens, "
        f"sha256 {corpus.sha256[:16]}",
    )
    names = list(corpus.passages)
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    yield _row("", f"of {shown}")


def _planted(knobs: Knobs | None) -> Iterator[str]:
    if knobs is not None:
        shown = ", ".join(f"{name} {value:g}" for name, value in knobs.model_dump().items())
        yield _row("planted", shown)


def _lost(known: Ancestor) -> str:
    return "" if Path(known.path).is_dir() else " (no longer there)"


def _row(name: str, text: str | None) -> str:
    return f"  {name:<10} {text}"


def _indented(lines: list[str], depth: int) -> list[str]:
    return ["  " * depth + line for line in lines]
