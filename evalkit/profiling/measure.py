"""`evalkit.profile`: how fast a checkpoint is on this machine, and what it needs."""

import itertools
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import torch

from evalkit.engine.budget import ROWS
from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.endpoint import EndpointEngine
from evalkit.engine.local import LocalEngine
from evalkit.engine.model import make_engine_here, open_model
from evalkit.errors import UsageError
from evalkit.profiling.energy import open_meter
from evalkit.profiling.figures import Machine, by_setting, scores_of
from evalkit.profiling.peaks import copy_peak, matmul_peak
from evalkit.profiling.probe import WARM_UP, Profile
from evalkit.profiling.prompts import plain_prompts, random_prompts
from evalkit.profiling.settings import ProfileSettings
from evalkit.profiling.turns import InTurn
from evalkit.profiling.work import work_of
from evalkit.results import Store
from evalkit.runner import RunResult
from evalkit.runner.plan import Plan, PlannedTask
from evalkit.runner.respond import respond
from evalkit.runner.run import record
from evalkit.types import Sample, Score

Asked = TypeVar("Asked", bound=ProfileSettings)


def profile(model: str, *, wait: Callable[[], object] = lambda: None, **settings: Any) -> RunResult:
    """Time a model under several batch sizes and lengths of prompt, and keep the result.

    Args:
        model: Checkpoint folder, org/name of a model in the mirror, or address of an endpoint.
        wait: Called before each batch, and returns when it may begin: models that are profiled in
            processes of their own take turns by it.
        **settings: Further fields of `ProfileSettings`.

    Raises:
        UsageError: A setting is impossible, or nothing that was asked fits the model's context.
        DataError: The checkpoint cannot be used.
        EvaluationError: The model's answers are not finite, the server failed, or the store did.
    """
    asked = ProfileSettings.checked(model=model, **settings)
    opened = open_model(asked.model, asked.mirror, asked.trust_remote_code)
    store = Store(asked.store)
    store.check_writable()
    created = datetime.now(UTC)
    if isinstance(opened, Checkpoint):
        asked = fitting(asked, opened)
    if asked.rates and asked.requests_per_minute:
        raise UsageError("rates say when requests leave; give no requests_per_minute beside them.")
    most = max(ROWS, *asked.batch_sizes)
    engine = make_engine_here(opened, asked.model_copy(update={"batch_size": most}))
    samples: list[Sample] = []
    machines: list[Machine | None] = []

    def finish(means: list[Score]) -> list[Score]:
        batches = by_setting(probe.settings, samples)
        return [*scores_of(batches, machines[0], asked.goodput), *means]

    probe = Profile(asked, _prompts(engine, asked), finish)
    plan = Plan(asked, opened, [PlannedTask(probe, probe.documents(None, 0))], {}, store)
    started = time.perf_counter()
    machine, samples[:] = _measured(plan, probe, engine, wait)
    machines.append(machine)
    phases = {"load": engine.load_s, "respond": time.perf_counter() - started}
    return record(plan, engine, {probe.name: samples}, created, phases)


def _prompts(
    engine: LocalEngine | EndpointEngine, settings: ProfileSettings
) -> Callable[[int, int], list[str]]:
    """What gives texts of so many tokens; of an endpoint, whose tokenizer nobody knows, of words.

    What a server has read it may have kept, so its texts are drawn anew for each batch.
    """
    if isinstance(engine, EndpointEngine):
        seeds = itertools.count(time.time_ns())
        return lambda count, words: plain_prompts(count, words, next(seeds))

    @cache
    def of_length(tokens: int) -> list[str]:
        tokenizer, most = engine.loaded.tokenizer, max(settings.batch_sizes)
        return random_prompts(tokenizer, engine.count_tokens, most, tokens, settings.seed)

    return lambda count, tokens: of_length(tokens)[:count]


def fitting(settings: Asked, checkpoint: Checkpoint) -> Asked:
    """The settings without prompts that leave no room in the model's context.

    Raises:
        UsageError: No prompt is left, or rates are asked, which are for endpoints.
    """
    if settings.rates:
        raise UsageError("--rates are for endpoints; a checkpoint in this process answers batches.")
    room = checkpoint.max_length
    if room is None:
        return settings
    held = [n for n in settings.prompt_tokens if n + settings.new_tokens <= room]
    if not held:
        raise UsageError(
            f"The context of {checkpoint.path} is {room} tokens, which holds no prompt of "
            f"{settings.prompt_tokens[0]} and {settings.new_tokens} new ones; lower "
            "--prompt-tokens or --new-tokens."
        )
    return settings.model_copy(update={"prompt_tokens": held})


def _measured(
    plan: Plan,
    probe: Profile,
    engine: LocalEngine | EndpointEngine,
    wait: Callable[[], object],
) -> tuple[Machine | None, Sequence[Sample]]:
    """Ask everything; the machine's own peaks, which need memory themselves, come last."""
    meter, why = open_meter(str(engine.device))
    watched = InTurn(engine, wait)
    (responses,) = respond(plan, watched)
    energy = meter.joules() if meter else None
    samples = probe.score(plan.tasks[0].documents, responses)
    if isinstance(engine, EndpointEngine):
        return None, samples
    device = engine.device
    memory = {"peak_memory_bytes": watched.peak.most}
    if device.type == "cuda":
        memory["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    dtype = str(engine.loaded.model.dtype).removeprefix("torch.")
    _, peak = matmul_peak(torch.get_num_threads(), str(device), dtype)
    bandwidth = copy_peak(str(device))
    machine = Machine(
        matmul_gflops=peak,
        copy_gb_s=bandwidth,
        load_s=engine.load_s,
        memory=memory,
        round_memory=[held for number, held in watched.rounds.items() if number != WARM_UP],
        energy_j=energy,
        why_no_energy=why,
        work=work_of(engine),
    )
    return machine, samples
