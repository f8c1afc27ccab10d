"""Checkpoint folders: found, checked and fingerprinted before anything is loaded."""

import hashlib
import json
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.types import digest

TRAINING_MANIFEST = "evalkit.json"
ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = "adapter_model.safetensors"
# In the order in which lm-eval looks for them.
CONTEXT_LENGTH_NAMES = ("n_positions", "max_position_embeddings", "n_ctx")
ONNX_WEIGHTS = "model.onnx"
ONNX_DATA = f"{ONNX_WEIGHTS}.data"
_LONGEST_NAME = 255
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "special_tokens_map.json",
    "tokenizer_config.json",
)
_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "embed_in.weight",
    "word_embeddings.weight",
    "tok_embeddings.weight",
)


@dataclass(frozen=True)
class Checkpoint:
    """A folder in the Hugging Face layout whose files were checked, but not loaded.

    Attributes:
        path: The folder.
        config: Content of config.json.
        weights: The safetensors files, sorted by name; or the ONNX model and its data.
        tensors: Tensor name -> shape, from the safetensors files' headers.
        trusts_code: Whether the user has allowed Python code in the folder to run.
        base: Where the folder holds an adapter, the checkpoint that it is added to; config,
            weights and tensors are then of both.
        virtual_tokens: Tokens of the context that an adapter's prefix takes.
    """

    path: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    tensors: dict[str, tuple[int, ...]]
    trusts_code: bool = False
    base: "Checkpoint | None" = None
    virtual_tokens: int = 0

    @property
    def architecture(self) -> str | None:
        """Class named in config.json."""
        names = self.config.get("architectures")
        return str(names[0]) if isinstance(names, list) and names else None

    @property
    def parameters(self) -> int:
        """Number of weights stored; tied ones count once."""
        if self.is_onnx:
            return int((self.training or {}).get("parameters", 0))
        return sum(prod(shape) for shape in self.tensors.values())

    @property
    def is_onnx(self) -> bool:
        """Whether it is an exported model, which transformers cannot load."""
        return self.weights[0].name == ONNX_WEIGHTS

    @property
    def embedding_rows(self) -> int | None:
        """Rows of the input embedding, by its usual names."""
        for name, shape in self.tensors.items():
            if name.endswith(_EMBEDDINGS) and len(shape) == 2:
                return shape[0]
        size = self.config.get("vocab_size")
        return size if isinstance(size, int) else None

    @property
    def max_length(self) -> int | None:
        """Context length in tokens, by its usual names."""
        values = (self.config.get(name) for name in CONTEXT_LENGTH_NAMES)
        found = next((value for value in values if isinstance(value, int)), None)
        return None if found is None else found - self.virtual_tokens

    @property
    def training(self) -> dict[str, Any] | None:
        """The training manifest, where evalkit trained the checkpoint."""
        file = self.path / TRAINING_MANIFEST
        return _read_json(file) if file.is_file() else None

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over the weights and the configurations, first 16 hex digits."""
        if self.base is not None:
            config = _read_json(self.path / ADAPTER_CONFIG) | {"base_model_name_or_path": None}
            return digest([_hash_files([self.weights[0]]), config, self.base.weights_hash])
        configs = [self.path / name for name in ("config.json", "generation_config.json")]
        return _hash_files([*self.weights, *(file for file in configs if file.is_file())])

    @cached_property
    def tokenizer_hash(self) -> str:
        """SHA-256 over the tokenizer files, first 16 hex digits."""
        files = [self.tokenizer_folder / name for name in _TOKENIZER_FILES]
        return _hash_files([file for file in files if file.is_file()])

    @property
    def tokenizer_folder(self) -> Path:
        """Where the tokenizer is: with an adapter, or with its base."""
        return self.path if self.base is None or _has_tokenizer(self.path) else self.base.path


def open_checkpoint(
    model: str | Path,
    mirror: str | Path | None = None,
    trusted: Collection[Path] = (),
    *,
    causal: bool = True,
) -> Checkpoint:
    """Check a checkpoint's files without loading them.

    Args:
        model: A folder, or `org/name` of a model in the mirror.
        mirror: Folder in the hub's layout, with `models/<org>/<name>/`.
        trusted: Checkpoints whose own Python code may run.
        causal: Refuse what is no causal language model.

    Raises:
        DataError: It is no checkpoint, or an adapter without its base, holds pickled weights only,
            or a file is damaged.
    """
    path = _locate(model, mirror)
    if (path / ADAPTER_CONFIG).is_file():
        return _open_adapter(path, mirror, trusted)
    if not (path / "config.json").is_file():
        raise DataError(
            f"{path} is no checkpoint: it has no config.json; name the folder that "
            "save_pretrained() or 'evalkit train' wrote."
        )
    config = _read_json(path / "config.json")
    if not isinstance(config, dict):
        raise DataError(f"{path / 'config.json'} is no model configuration: not a JSON object.")
    weights = _weight_files(path)
    tensors: dict[str, tuple[int, ...]] = {}
    for file in weights:
        if file.suffix == ".safetensors":
            tensors.update(_read_header(file))
    if not _has_tokenizer(path):
        raise DataError(
            f"{path} has no tokenizer; copy its tokenizer files (tokenizer.json) into the folder."
        )
    trusts_code = path in [folder.resolve() for folder in trusted]
    checkpoint = Checkpoint(path, config, weights, tensors, trusts_code)
    if causal:
        _check_causal(checkpoint)
    return checkpoint


def _open_adapter(path: Path, mirror: str | Path | None, trusted: Collection[Path]) -> Checkpoint:
    """An adapter in peft's layout, with the checkpoint that it names as its base."""
    config = _read_json(path / ADAPTER_CONFIG)
    name = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(name, str) or not name:
        raise DataError(f"{path / ADAPTER_CONFIG} does not name its base_model_name_or_path.")
    weights = path / _ADAPTER_WEIGHTS
    if not weights.is_file():
        _refuse_pickled(path)
        raise DataError(f"{path} is an adapter and has no {_ADAPTER_WEIGHTS}.")
    beside = path / name
    if not Path(name).is_dir() and not beside.is_dir() and not _mirrored(name, mirror):
        raise DataError(
            f"{path} is the adapter of {name}, which is not there; name its place in "
            f"{ADAPTER_CONFIG} as base_model_name_or_path."
        )
    base = open_checkpoint(beside if beside.is_dir() else name, mirror, trusted)
    if base.base is not None:
        raise DataError(f"{path} is the adapter of {name}, itself an adapter; merge that first.")
    return replace(
        base,
        path=path,
        weights=(weights, *base.weights),
        tensors=base.tensors | dict(_read_header(weights)),
        base=base,
        virtual_tokens=int(config.get("num_virtual_tokens") or 0),
    )


def _locate(model: str | Path, mirror: str | Path | None) -> Path:
    path = Path(model)
    if len(path.name.encode(errors="replace")) > _LONGEST_NAME:
        raise DataError(f"There is no checkpoint of so long a name: {path.name[:40]}...")
    if path.is_dir():
        return path.resolve()
    if path.is_file():
        raise DataError(f"{path} is a file; --model takes the checkpoint's folder.")
    if mirrored := _mirrored(path, mirror):
        return mirrored.resolve()
    where = f" nor in the mirror {mirror}" if mirror is not None else ""
    raise DataError(
        f"There is no checkpoint at {path}{where}; "
        "name a folder with config.json and *.safetensors."
    )


def _mirrored(model: str | Path, mirror: str | Path | None) -> Path | None:
    found = None if mirror is None else Path(mirror) / "models" / model
    return found if found is not None and found.is_dir() else None


def _has_tokenizer(path: Path) -> bool:
    return any((path / name).is_file() for name in _TOKENIZER_FILES[:3])


def _weight_files(path: Path) -> tuple[Path, ...]:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        content = _read_json(index)
        named = sorted(set(content.get("weight_map", {}).values())) if _is_index(content) else []
        if not named:
            raise DataError(f"{index} is no index of weight files: it has no weight_map.")
        missing = [name for name in named if not (path / name).is_file()]
        if missing:
            raise DataError(f"{path} lacks the weight file {missing[0]} that its index names.")
        return tuple(path / name for name in named)
    files = tuple(sorted(path.glob("*.safetensors")))
    if files:
        return files
    if (path / ONNX_WEIGHTS).is_file():
        return tuple(f for f in (path / ONNX_WEIGHTS, path / ONNX_DATA) if f.is_file())
    _refuse_pickled(path)
    raise DataError(f"{path} is no checkpoint: it has no *.safetensors file.")


def _refuse_pickled(path: Path) -> None:
    pickled = [file for pattern in _PICKLED for file in sorted(path.glob(pattern))]
    if pickled:
        raise DataError(
            f"{pickled[0]} is pickled, and unpickling runs whatever code it holds; convert it "
            "where you trust it: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW)."
        )


def _is_index(content: Any) -> bool:
    names = content.get("weight_map") if isinstance(content, dict) else None
    return isinstance(names, dict) and all(isinstance(name, str) for name in names.values())


def _read_header(file: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Tensor names and shapes of a safetensors file whose size fits its header."""
    size = file.stat().st_size
    damaged = f"{file} is damaged: "
    with file.open("rb") as stream:
        first = stream.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        if length > size - 8:
            raise DataError(f"{damaged}it ends inside its header; copy or download it again.")
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            entries = [
                (name, tuple(e["shape"]), e["data_offsets"][1]) for name, e in header.items()
            ]
            expected = 8 + length + max((end for _, _, end in entries), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise DataError(f"{damaged}its header is no safetensors header.") from error
    if size < expected:
        raise DataError(
            f"{damaged}it is truncated, {size:,} bytes of {expected:,}; copy or download it again."
        )
    return iter((name, shape) for name, shape, _ in entries)


def _check_causal(checkpoint: Checkpoint) -> None:
    name = checkpoint.architecture
    if checkpoint.config.get("is_encoder_decoder") or (
        name is not None and not name.endswith(("ForCausalLM", "LMHeadModel"))
    ):
        raise DataError(
            f"{checkpoint.path} is a {name}; evalkit scores causal language models "
            "(an architecture ending in ForCausalLM or LMHeadModel)."
        )


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{file} is not readable JSON: {error}.") from error


def _hash_files(files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]
