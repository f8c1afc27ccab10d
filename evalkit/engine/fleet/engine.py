"""The fleet as an engine: it stands where the local one does."""

import os
from collections.abc import Collection, Iterator, Sequence

from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.fleet.cluster import connect, disconnect, find_seats
from evalkit.engine.fleet.cut import lay_out
from evalkit.engine.fleet.pace import Limits
from evalkit.engine.fleet.scheduler import Fleet
from evalkit.engine.fleet.worker import Asked, EngineMaker, Loaded
from evalkit.engine.loading import load_tokenizer, prefix_token
from evalkit.engine.local import too_long
from evalkit.engine.tokenization import Encoder
from evalkit.settings import RunSettings
from evalkit.types import Request, Response


def start_fleet(
    settings: RunSettings, make: EngineMaker | None = None, limits: Limits | None = None
) -> Fleet:
    """Workers as the settings say, on the cluster they name or on this machine.

    Args:
        settings: Of the run.
        make: Makes a worker's engine; by default the local one.
        limits: How chunks are dealt with.

    Raises:
        UsageError: ray is missing, the cluster cannot be reached, or has no room.
    """
    joined = connect(settings.address, max(os.cpu_count() or 1, settings.workers or 1))
    leave = disconnect if joined else None
    try:
        seats = find_seats(settings.workers, settings.device_per_worker, settings.device)
        return Fleet(seats.workers, seats.options, seats.device, seats.threads, make, limits, leave)
    except BaseException:
        if leave:
            leave()
        raise


class FleetEngine:
    """Answers requests with a checkpoint that many workers hold.

    Args:
        checkpoint: The checked folder.
        settings: Of the run.
        fleet: The workers, which stay when this is closed; by default its own.

    Raises:
        DataError: The tokenizer or the weights cannot be loaded.
        UsageError: The cluster cannot be reached or has no room, or there is no such dtype.
        EvaluationError: No worker could be had.
    """

    def __init__(
        self, checkpoint: Checkpoint, settings: RunSettings, fleet: Fleet | None = None
    ) -> None:
        self._tokenizer = load_tokenizer(checkpoint)
        self._prefix = prefix_token(self._tokenizer, checkpoint)
        self._owned = fleet is None
        self._fleet = fleet or start_fleet(settings)
        self._per_worker = settings.device_per_worker
        try:
            self._job, self._loaded = self._fleet.open(
                _asked(checkpoint, settings, self._fleet.device)
            )
        except BaseException:
            self.close()
            raise
        self.load_s = self._loaded.seconds

    @property
    def device(self) -> str:
        """The workers' accelerator, or `cpu`."""
        return self._loaded.device

    @property
    def settings(self) -> dict[str, object]:
        """What the engine chose, for the manifest; none of it changes a figure beyond rounding."""
        import ray

        fleet = {
            "ray": ray.__version__,
            "workers": self._fleet.workers,
            "nodes": self._fleet.nodes,
            "device_per_worker": self._per_worker,
        }
        return {**self._job.settings, "fleet": fleet}

    @property
    def warnings(self) -> list[str]:
        """What a reader of the figures has to know, as far as the engine has got."""
        job = self._job
        found = [*job.remarks, *too_long(job.cut, self._loaded.max_length), *self._fleet.problems]
        if len(job.devices) > 1:
            found.append(f"Workers computed on different devices: {', '.join(job.devices)}.")
        retries = {reason: count for reason, count in job.retries.items() if count}
        if retries:
            total = sum(retries.values())
            why = ", ".join(f"{reason}: {count}" for reason, count in retries.items())
            times = "once" if total == 1 else f"{total} times"
            found.append(f"Chunks of requests were asked again {times} ({why}).")
        return found

    def respond(
        self, requests: Sequence[Request], answered: Collection[int] = ()
    ) -> Iterator[list[tuple[int, Response]]]:
        """Answer the requests in any order: lists of (index into `requests`, response).

        Raises:
            NonFiniteError: The model answered with NaN or infinite logits; the first such request
                in the given order is named.
            LostError: Requests failed too often; all others have been answered before.
            EvaluationError: No worker is left.
        """
        known = frozenset(answered)
        missing = [i for i in range(len(requests)) if i not in known]
        encoder = Encoder(self._tokenizer, self._prefix, self._loaded.max_length)
        self._fleet.begin(self._job, requests, lay_out(requests, missing, encoder))
        while True:
            event = self._job.outbox.get()
            if event is None:
                return
            if isinstance(event, BaseException):
                raise event
            if not isinstance(event, Loaded):
                yield event

    def close(self) -> None:
        """Let the workers go, unless others share them."""
        job = getattr(self, "_job", None)
        if job is not None:
            self._fleet.drop(job)
        if self._owned:
            self._fleet.close()


def _asked(checkpoint: Checkpoint, settings: RunSettings, device: str) -> Asked:
    return Asked(
        path=str(checkpoint.path),
        mirror=None if settings.mirror is None else str(settings.mirror.absolute()),
        trusted=tuple(str(path.absolute()) for path in settings.trust_remote_code),
        device=device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
        weights_hash=checkpoint.weights_hash,
        tokenizer_hash=checkpoint.tokenizer_hash,
        parameters=checkpoint.parameters,
        compiled=settings.compile,
        bytes=sum(file.stat().st_size for file in checkpoint.weights),
    )
