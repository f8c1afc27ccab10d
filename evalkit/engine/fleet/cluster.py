"""A Ray cluster: reached, and measured for how many workers it has room."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from evalkit.errors import UsageError

_REACH_S = 5.0
_STORE_BYTES = 200 * 2**20
"""Of Ray's object store on this machine: requests and answers are small."""


@dataclass(frozen=True, slots=True)
class Seats:
    """Where the workers of a fleet sit.

    Attributes:
        workers: How many.
        options: What Ray reserves for each.
        device: What each computes on.
        threads: Of each on a CPU.
    """

    workers: int
    options: dict[str, Any]
    device: str
    threads: int | None


def connect(address: str | None, cores: int | None = None) -> bool:
    """Reach the cluster, or start Ray on this machine where no address is given.

    Args:
        address: `HOST:PORT` of the cluster's head, or `auto` for the one of this node; by default
            the environment's RAY_ADDRESS.
        cores: That a Ray started here is to hand out; by default the machine's.

    Returns:
        Whether this process was not connected before.

    Raises:
        UsageError: ray is not installed, or nothing answers at the address.
    """
    # Before the import: Ray would report on its use to its makers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--engine ray needs the package ray; pip install 'evalkit[fleet]'."
        ) from error
    if ray.is_initialized():
        return False
    _hush()
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_reach(address)
    here: dict[str, Any] = {}
    if address == "local":
        here = {
            "num_cpus": cores,
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **here)
    except Exception as error:  # Ray has no exception of its own for this
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UsageError(
            f"--address {address}: no Ray cluster can be used there ({reason})."
        ) from error
    return True


def disconnect() -> None:
    """Leave the cluster, or end the Ray that was started here."""
    import ray

    ray.shutdown()


def find_seats(workers: int | None, per_worker: str, device: str) -> Seats:
    """Seats for workers on the cluster that is connected.

    Args:
        workers: How many; by default as many as there is room for.
        per_worker: `cpu`, `cpu:CORES`, `cuda`, `cuda:SHARE`, or `auto`: a GPU each where there are
            GPUs, or else a node's cores each, shared out where more workers are wanted.
        device: The run's `--device`, which `auto` heeds.

    Raises:
        UsageError: The cluster has no room for one worker, or it cannot be of that device.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if device.partition(":")[0] not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device}: workers of a fleet compute on cpu or cuda.")
    kind, amount = _amount(per_worker, device, nodes, workers)
    options = {"num_cpus": amount} if kind == "cpu" else {"num_cpus": 1, "num_gpus": amount}
    resource = "CPU" if kind == "cpu" else "GPU"
    room = sum(int(node.get(resource, 0) / amount) for node in nodes)
    if room == 0:
        most = max((node.get(resource, 0) for node in nodes), default=0)
        raise UsageError(
            f"No node of the cluster has room for a worker of {kind}:{amount:g}; the largest has "
            f"{most:g}: choose a smaller --device-per-worker."
        )
    return Seats(workers or room, options, kind, int(amount) if kind == "cpu" else None)


def _amount(
    per_worker: str, device: str, nodes: list[dict[str, float]], workers: int | None
) -> tuple[str, float]:
    """Kind of device and how much of it each worker has."""
    kind, _, amount = per_worker.partition(":")
    if kind == "auto":
        wanted = device.partition(":")[0]
        has_gpus = any(node.get("GPU", 0) >= 1 for node in nodes)
        kind = "cuda" if wanted == "cuda" or (wanted == "auto" and has_gpus) else "cpu"
    if amount:
        return kind, float(amount)
    if kind == "cuda":
        return kind, 1.0
    cores = [node["CPU"] for node in nodes if node.get("CPU", 0) >= 1] or [1.0]
    share = sum(cores) // (workers or len(cores))
    return kind, float(max(1, int(min(*cores, share) if len(cores) > 1 else min(cores[0], share))))


def _check_reach(address: str) -> None:
    """Ray itself tries for minutes."""
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UsageError(
            f"--address {address!r} is no HOST:PORT of a cluster's head, nor auto; run evalkit on "
            "a node of the cluster."
        )
    try:
        socket.create_connection((host, int(port)), _REACH_S).close()
    except OSError as error:
        raise UsageError(
            f"--address {address}: no Ray cluster answers there ({error}); start one with 'ray "
            "start --head', or leave the option out to use this machine."
        ) from error


def _hush() -> None:
    """Keep Ray's remarks on dead workers off stdout, for which it has no setting."""
    with suppress(ImportError, AttributeError):
        from ray._private import worker

        def nothing(*_: object, **__: object) -> None:
            pass

        worker.print_to_stdstream = nothing
