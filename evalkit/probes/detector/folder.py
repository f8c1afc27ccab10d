"""A detector on disk: what a Detoxify checkpoint holds, in a folder that no one has to unpickle.

Detoxify's checkpoint is a pickled mapping of `state_dict` and `config`; beside it stands a folder
with the configuration and tokenizer of its encoder. Here all is one folder: the tensors in
`detoxify.safetensors`, `config` as JSON in that file's header, configuration and tokenizer in the
Hugging Face layout, and the weights' SHA-256 in a file of their own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evalkit.errors import DataError

WEIGHTS = "detoxify.safetensors"
CHECKSUM = f"{WEIGHTS}.sha256"
_PICKLED = ("*.ckpt", "*.pt", "*.pth", "*.bin")


@dataclass(frozen=True)
class DetectorFolder:
    """A detector's folder whose files were checked, but not loaded.

    Attributes:
        path: The folder.
        config: Detoxify's `config`: names of model, tokenizer and classes.
        weights_sha256: Of the weights' file.
    """

    path: Path
    config: Mapping[str, Any]
    weights_sha256: str

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the weights, the configuration and the tokenizer, first 16 hex digits."""
        files = [self.path / name for name in ("config.json", "tokenizer.json", "vocab.txt")]
        parts = [_sha256(file) for file in files if file.is_file()]
        return hashlib.sha256("".join([self.weights_sha256, *parts]).encode()).hexdigest()[:16]


def open_detector(path: Path) -> DetectorFolder:
    """Check a detector's folder without loading it.

    Raises:
        DataError: It is no detector, holds pickled weights only, or the weights are not those that
            were written.
    """
    weights = path / WEIGHTS
    if not weights.is_file():
        raise DataError(_why_not(path))
    sha256 = _sha256(weights)
    checksum = path / CHECKSUM
    if checksum.is_file() and checksum.read_text(encoding="utf-8").split()[:1] != [sha256]:
        raise DataError(f"{weights} is not the file that {checksum} was written for; get it anew.")
    if not (path / "config.json").is_file():
        raise DataError(f"{path} lacks config.json, the configuration of the detector's encoder.")
    return DetectorFolder(path.resolve(), _read_config(weights), sha256)


def write_detector(
    folder: Path,
    state_dict: Mapping[str, Any],
    config: Mapping[str, Any],
    encoder_config: Any,
    tokenizer: Any,
) -> None:
    """Write a detector's folder.

    Args:
        folder: Made if it is missing.
        state_dict: The tensors.
        config: Detoxify's `config`.
        encoder_config: transformers' configuration of the model, with one label a class.
        tokenizer: transformers' tokenizer.

    Raises:
        OSError: The folder cannot be written.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    encoder_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"config": json.dumps(config)})
    line = f"{_sha256(folder / WEIGHTS)}  {WEIGHTS}\n"
    (folder / CHECKSUM).write_text(line, encoding="utf-8")


def detoxify_config(
    model_name: str, tokenizer_name: str, classes: Sequence[str], model_type: str = "."
) -> dict[str, Any]:
    """Detoxify's `config` of a model of these classes.

    Args:
        model_name: Class in transformers, such as `BertForSequenceClassification`.
        tokenizer_name: Class in transformers, such as `BertTokenizer`.
        classes: What each output means, such as `toxicity`.
        model_type: Name of the encoder it was made from.
    """
    arch = {
        "model_type": model_type,
        "model_name": model_name,
        "tokenizer_name": tokenizer_name,
        "num_classes": len(classes),
    }
    return {"arch": {"args": arch}, "dataset": {"args": {"classes": list(classes)}}}


def checked_config(config: Any, source: Path) -> dict[str, Any]:
    """The parts of Detoxify's `config` that are needed.

    Raises:
        DataError: They are missing, or name no classifier of transformers.
    """
    try:
        arch = config["arch"]["args"]
        classes = [str(name) for name in config["dataset"]["args"]["classes"]]
        model, tokenizer = str(arch["model_name"]), str(arch["tokenizer_name"])
        encoder = str(arch["model_type"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{source} is no Detoxify checkpoint: its config has no {error} where Detoxify looks."
        ) from error
    if not model.endswith("ForSequenceClassification") or "Tokenizer" not in tokenizer:
        raise DataError(f"{source} names {model} and {tokenizer}, which are no text classifier.")
    if not classes:
        raise DataError(f"{source} names no classes.")
    return detoxify_config(model, tokenizer, classes, encoder)


def _read_config(weights: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as file:
            header = file.metadata() or {}
        return checked_config(json.loads(header["config"]), weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"{weights} is damaged or holds no Detoxify config: {error}.") from error


def _why_not(path: Path) -> str:
    pickled = [path] if path.is_file() else [f for p in _PICKLED for f in sorted(path.glob(p))]
    if pickled:
        return (
            f"{pickled[0]} is pickled, and unpickling runs whatever code it holds; convert it once "
            "with: evalkit detector convert FILE --out FOLDER"
        )
    if not path.exists():
        return f"There is no detector at {path}; --detector-path names its folder."
    return f"{path} is no detector: it has no {WEIGHTS}."


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
