"""What `--model` names, opened, and the engine that answers for it."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from evalkit.engine.checkpoint import Checkpoint, open_checkpoint
from evalkit.engine.endpoint import Endpoint, EndpointEngine, is_endpoint, open_endpoint
from evalkit.engine.local import LocalEngine


def open_model(
    model: str | Path, mirror: str | Path | None = None, trusted: Collection[Path] = ()
) -> Checkpoint | Endpoint:
    """A checkpoint, its files checked, or an endpoint, its address read.

    Args:
        model: A folder, `org/name` of a model in the mirror, or an address such as
            `openai:http://127.0.0.1:8000/v1#my-model`.
        mirror: Folder in the hub's layout.
        trusted: Checkpoints whose own Python code may run.

    Raises:
        UsageError: It is no address of an endpoint.
        DataError: It is no checkpoint, or a file is damaged.
    """
    if is_endpoint(str(model)):
        return open_endpoint(str(model))
    return open_checkpoint(model, mirror, trusted)


def make_engine(
    opened: Checkpoint | Endpoint,
    *,
    device: str = "auto",
    dtype: str = "float32",
    batch_size: int | Literal["auto"] | None = None,
    concurrency: int = 8,
) -> LocalEngine | EndpointEngine:
    """The engine of a model; see `LocalEngine` and `EndpointEngine` for the settings."""
    if isinstance(opened, Endpoint):
        return EndpointEngine(opened, concurrency)
    return LocalEngine(opened, device=device, dtype=dtype, batch_size=batch_size)
