"""`evalkit.json`: how a checkpoint came to be. Needs no torch, so that anything may read it."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.errors import DataError
from evalkit.training.world.knobs import Knobs

MANIFEST_NAME = "evalkit.json"


class CorpusRecord(BaseModel):
    """The text that was learnt from; further fields are kept as they are.

    Attributes:
        sha256: Hash over the documents in order, each followed by a zero byte.
        passages: Kind or source -> number of documents.
        characters: Characters in all documents.
        tokens: Tokens, with one end-of-document token a document.
    """

    model_config = ConfigDict(extra="allow")

    sha256: str
    passages: dict[str, int]
    characters: int
    tokens: int


class Ancestor(BaseModel):
    """What a checkpoint remembers of the one it was made from, should that one be deleted.

    Attributes:
        path: Where it lay.
        ancestor: The one that it was made from in turn.
    """

    model_config = ConfigDict(extra="ignore")

    path: str
    name: str
    stage: str
    step: int
    tokens_seen: int
    loss: float | None = None
    corpus: CorpusRecord | None = None
    tokenizer_sha256: str | None = None
    knobs: Knobs | None = None
    created: str | None = None
    ancestor: "Ancestor | None" = None


class TrainingManifest(BaseModel):
    """What `evalkit.json` holds.

    Attributes:
        stage: What made the weights: `pretraining`, `finetuning`, `distillation` ...
        recipe: The recipe, whole; of whichever kind the stage has.
        parent: Checkpoint that training started from; None for random weights.
        ancestor: What is remembered of the parent and of its parents.
        step: Optimiser steps taken in this stage.
        tokens_seen: Tokens in those steps.
        loss: Mean training loss in nats a token, over about the last tenth of all steps.
        held_out_loss: The same over text that was held out, where some was.
        tokenizer_sha256: Hash of tokenizer.json.
        knobs: Effects planted in the corpus, where it is the micro-world's.
        wall_s, cpu_s: Seconds spent in training so far, on the clock and of all cores.
        created: UTC time of saving, ISO 8601.
    """

    model_config = ConfigDict(extra="ignore")

    schema_version: int = 2
    name: str
    stage: str = "pretraining"
    recipe: dict[str, Any]
    parent: str | None = None
    ancestor: Ancestor | None = None
    step: int
    tokens_seen: int
    loss: float | None = None
    held_out_loss: float | None = None
    parameters: int
    corpus: CorpusRecord | None = None
    tokenizer_sha256: str
    knobs: Knobs | None = None
    wall_s: float
    cpu_s: float
    created: str
    libraries: dict[str, str]
    hardware: dict[str, Any]


def read_manifest(folder: Path) -> TrainingManifest | None:
    """The training manifest of a checkpoint folder; None where it has none.

    Raises:
        DataError: The file is there but damaged.
    """
    file = folder / MANIFEST_NAME
    if not file.is_file():
        return None
    try:
        return TrainingManifest.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        fault = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(f"{file} is no readable training manifest: {fault}.") from None


def remember(folder: Path) -> Ancestor | None:
    """What a child of this checkpoint has to keep of it; None where it has no manifest."""
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    known = manifest.model_dump(include=set(Ancestor.model_fields) - {"path"})
    return Ancestor(path=str(folder), **known)
