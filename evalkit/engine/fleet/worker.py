"""A worker of the fleet: holds one checkpoint and answers chunks of requests.

Imports nothing heavy by itself: the process of a worker loads torch with its first checkpoint.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from evalkit.errors import DataError, UsageError
from evalkit.types import Request, Response

_COMPUTING = ("evalkit", "torch", "transformers", "tokenizers")
"""Packages whose versions are part of what answers: every node needs the same."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A checkpoint as a worker is to load it.

    Attributes:
        path: The folder, on every node.
        mirror: Folder in the hub's layout, where an adapter's base may lie.
        trusted: Checkpoints whose own Python code may run.
        weights_hash: What it has to be; so has `tokenizer_hash`.
        parameters: Number of weights.
        bytes: Size of the weight files.
        compiled: Whether torch.compile makes the forward pass.
    """

    path: str
    mirror: str | None
    trusted: tuple[str, ...]
    device: str
    dtype: str
    batch_size: int | Literal["auto"] | None
    weights_hash: str
    tokenizer_hash: str
    parameters: int
    bytes: int
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is: the node's id in Ray and its name, the process, versions of packages."""

    node: str
    host: str
    pid: int
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker says of a checkpoint it has loaded.

    Attributes:
        device: The accelerator's model, or `cpu`.
        seconds: Loading took.
        max_length: Longest input, in tokens.
    """

    device: str
    seconds: float
    max_length: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A worker's answers to a chunk.

    Attributes:
        responses: By position, as asked.
        seconds: Computing took, without loading.
        loaded: Of the checkpoint, if it had to be loaded for this chunk.
        cut: Requests whose beginnings were cut.
        remarks: What a reader of the figures has to know.
        settings: What the engine chose.
        broken: Position of the first request whose logits are not finite; nothing else counts then.
    """

    responses: list[tuple[int, Response]]
    seconds: float
    loaded: Loaded | None = None
    cut: int = 0
    remarks: list[str] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    broken: int | None = None


def versions() -> dict[str, str]:
    """Name -> version of the packages that compute."""
    return {name: version(name) for name in _COMPUTING}


EngineMaker = Callable[[Asked], Any]
"""Makes a worker's engine: as `LocalEngine`, as far as `Worker` asks it."""


class Worker:
    """What runs as an actor of Ray, one call at a time.

    Args:
        make: Makes the engine of a checkpoint; by default the local one.
        threads: For the linear algebra on a CPU; None leaves them as they are.
    """

    def __init__(self, make: EngineMaker | None = None, threads: int | None = None) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        self._make = make or open_engine
        self._threads = threads
        self._asked: Asked | None = None
        self._engine: Any = None
        self._loaded = Loaded("", 0.0, 0)

    def place(self) -> Place:
        """Where this is."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        return Place(node, socket.gethostname(), os.getpid(), versions())

    def load(self, asked: Asked) -> Loaded:
        """Hold a checkpoint, and no other.

        Raises:
            DataError: It cannot be loaded here.
            UsageError: There is no such device or dtype here.
        """
        if asked != self._asked:
            self._release()
            started = time.perf_counter()
            if self._threads is not None and asked.device == "cpu" and self._make is open_engine:
                import torch

                torch.set_num_threads(self._threads)
            self._engine = self._make(asked)
            seconds = time.perf_counter() - started
            self._loaded = Loaded(self._engine.device_name, seconds, self._engine.max_length)
            self._asked = asked
        return self._loaded

    def answer(self, asked: Asked, chunk: Sequence[tuple[int, Request]]) -> Answered:
        """Answer a chunk of (position, request), loading the checkpoint where it is another one."""
        is_new = asked != self._asked
        loaded = self.load(asked)
        engine, started = self._engine, time.perf_counter()
        cut = engine.cut
        # In the order of the run, so that the first broken one is the run's first.
        chunk = sorted(chunk, key=lambda pair: pair[0])
        found: list[tuple[int, Response]] = []
        broken = None
        try:
            for batch in engine.respond([request for _, request in chunk]):
                found.extend((chunk[place][0], response) for place, response in batch)
        except ArithmeticError as error:
            if not hasattr(error, "index"):
                raise
            broken = chunk[error.index][0]
        return Answered(
            responses=found,
            seconds=time.perf_counter() - started,
            loaded=loaded if is_new else None,
            cut=engine.cut - cut,
            remarks=engine.remarks,
            settings=engine.settings,
            broken=broken,
        )

    def _release(self) -> None:
        """Let go of the checkpoint before the next is loaded: both may not fit."""
        self._asked = None
        if self._engine is None:
            return
        self._engine = None
        import gc

        gc.collect()
        if self._make is open_engine:
            import torch

            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def open_engine(asked: Asked) -> Any:
    """The local engine of a checkpoint, which has to be the one that the run was planned with.

    Raises:
        DataError: It is not on this node, or another one is.
        UsageError: There is no such device or dtype here.
    """
    from evalkit.engine.checkpoint import open_checkpoint
    from evalkit.engine.local import LocalEngine

    here = socket.gethostname()
    try:
        checkpoint = open_checkpoint(
            asked.path, asked.mirror, [Path(path) for path in asked.trusted]
        )
    except DataError as error:
        raise DataError(
            f"The node {here} cannot read the checkpoint, which has to lie at the same path on "
            f"every node: {error}"
        ) from error
    hashes = checkpoint.weights_hash, checkpoint.tokenizer_hash
    if hashes != (asked.weights_hash, asked.tokenizer_hash):
        raise DataError(
            f"{asked.path} on the node {here} is not the checkpoint that the run was planned with; "
            "bring the same files to every node, and measure none that is still written."
        )
    try:
        return LocalEngine(
            checkpoint,
            device=asked.device,
            dtype=asked.dtype,
            batch_size=asked.batch_size,
            compiled=asked.compiled,
        )
    except UsageError as error:
        raise UsageError(f"On the node {here}: {error}") from error
