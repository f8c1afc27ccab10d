"""What `--model` names, opened, and the engine that answers for it."""

from collections.abc import Collection
from pathlib import Path

from evalkit.engine.checkpoint import Checkpoint, open_checkpoint
from evalkit.engine.endpoint import Endpoint, EndpointEngine, is_endpoint, open_endpoint
from evalkit.engine.fleet import FleetEngine
from evalkit.engine.local import LocalEngine
from evalkit.settings import RunSettings

AnyEngine = LocalEngine | EndpointEngine | FleetEngine


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


def make_engine(opened: Checkpoint | Endpoint, settings: RunSettings) -> AnyEngine:
    """The engine of a model, with what the user has chosen about it.

    Raises:
        DataError: The checkpoint's tokenizer or weights cannot be loaded.
        UsageError: The device or dtype is not available; or the Ray cluster is not.
    """
    if settings.engine == "ray" and isinstance(opened, Checkpoint):
        return FleetEngine(opened, settings)
    return make_engine_here(opened, settings)


def make_engine_here(
    opened: Checkpoint | Endpoint, settings: RunSettings
) -> LocalEngine | EndpointEngine:
    """The engine of a model in this process, or its server's.

    Raises:
        DataError: The checkpoint's tokenizer or weights cannot be loaded.
        UsageError: The device or dtype is not available.
    """
    if isinstance(opened, Endpoint):
        return EndpointEngine(opened, settings.concurrency, settings.requests_per_minute)
    return LocalEngine(
        opened,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
        compiled=settings.compile,
    )
