"""The figures of a profile, from its samples and from what was measured beside them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from evalkit.profiling.probe import Setting
from evalkit.profiling.work import Work
from evalkit.stats import estimate
from evalkit.stats.intervals import mean_stderr, ratio_parts, t_interval
from evalkit.stats.quantiles import clustered_quantile_intervals
from evalkit.types import Response, Sample, Score

PERCENTILES = (50, 90, 95, 99)
_TASK = "profile"
_FAMILY = "latency"
_FEW = "percentiles without an interval rest on too few batches for one; more --repeats give it."
_NONE_BETWEEN = "every answer came in one piece, so there is no time between two."
_ELSEWHERE = "the counters of the server's machine are out of reach"

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured beside the requests, of a model in this process.

    Attributes:
        matmul_gflops: Best matrix product, per second.
        copy_gb_s: Copy in memory, read and written, per second.
        load_s: From the checkpoint's files to a model that can answer.
        memory: Name -> peak bytes of the process, and of the device where there is one.
        round_memory: Most bytes the process held in each round, the warm-up left out; empty where
            the system cannot tell.
        energy_j: Over all rounds, the warm-up too; None with the reason in `why_no_energy`.
    """

    matmul_gflops: float
    copy_gb_s: float
    load_s: float
    memory: Mapping[str, int]
    round_memory: Sequence[int]
    energy_j: float | None
    why_no_energy: str
    work: Work


@dataclass(slots=True)
class Batches:
    """The timed requests of one setting, batch by batch.

    Attributes:
        setting: What was asked.
        responses: Of each batch.
    """

    setting: Setting
    responses: list[list[Response]] = field(default_factory=list)

    @property
    def seconds(self) -> Array:
        """From the start of each batch to its last token, shape (batches,)."""
        return np.array(
            [max(r.start_s + (r.total_s or 0.0) for r in batch) for batch in self.responses]
        )

    @property
    def noise(self) -> float:
        """Median distance of a batch's seconds from their median, as a share of it."""
        seconds = self.seconds
        middle = float(np.median(seconds))
        return float(np.median(np.abs(seconds - middle))) / middle

    def quantities(self) -> dict[str, list[Array]]:
        """Name -> values of each batch, in seconds.

        Defined as by MLPerf Inference and vLLM's serving benchmark.
        `first_token_s`: from the request to its first token. `inter_token_s`: between two tokens of
        a request, one value each. `time_per_output_token_s`: their mean in a request, that is (end
        - first token) over the tokens after the first; a request of one token has none.
        `end_to_end_s`: from the request to its last token.
        """
        times = [[np.array(r.token_s) for r in batch] for batch in self.responses]
        return {
            "first_token_s": [np.array([t[0] for t in batch]) for batch in times],
            "inter_token_s": [np.concatenate([np.diff(t) for t in batch]) for batch in times],
            "time_per_output_token_s": [
                np.array([r.per_token_s for r in batch if r.per_token_s is not None])
                for batch in self.responses
            ],
            "end_to_end_s": [np.array([t[-1] for t in batch]) for batch in times],
        }


def by_setting(settings: Sequence[Setting], samples: Sequence[Sample]) -> list[Batches]:
    """Samples of a profile, put together again as they were asked."""
    found = {setting.name: Batches(setting) for setting in settings}
    known: dict[str | None, list[Response]] = {}
    for sample in samples:
        batch = sample.document.cluster
        if batch not in known:
            known[batch] = []
            found[sample.filter].responses.append(known[batch])
        known[batch].append(sample.responses[-1])
    return list(found.values())


def scores_of(
    batches: Sequence[Batches], machine: Machine | None, limits: Mapping[str, float]
) -> list[Score]:
    """Every figure of a profile but the means.

    Args:
        batches: Of each setting.
        machine: What was measured beside them; None of a model behind an endpoint.
        limits: Quantity -> seconds that a good request may take, for the goodput.
    """
    scores = [score for one in batches for score in _percentiles(one)]
    scores += [score for one in batches for score in _rates(one, machine, limits)]
    return [*scores, *_whole(batches, machine), *_held(machine.round_memory if machine else ())]


def _percentiles(batches: Batches) -> Iterator[Score]:
    shares = [p / 100 for p in PERCENTILES]
    for quantity, of_batches in batches.quantities().items():
        values = [batch for batch in of_batches if len(batch)]
        all_values = np.concatenate([*values, []])
        found = np.quantile(all_values, shares).tolist() if values else [None] * len(shares)
        intervals = clustered_quantile_intervals(values, shares)
        for percentile, value, ends in zip(PERCENTILES, found, intervals, strict=True):
            yield Score(
                task=_TASK,
                metric=f"{quantity}_p{percentile}",
                filter=batches.setting.name,
                value=value,
                stderr=None,
                ci_low=ends[0] if ends else None,
                ci_high=ends[1] if ends else None,
                n=len(all_values),
                n_clusters=len(values),
                higher_is_better=False,
                interval="cluster binomial" if ends else None,
                aggregation=f"p{percentile}",
                family=_FAMILY,
                unit="seconds",
                note=_remark(quantity, value, ends),
            )


def _remark(quantity: str, value: float | None, ends: object) -> str | None:
    if value is None:
        return f"{quantity} is undefined: {_NONE_BETWEEN}"
    return None if ends else _FEW


def _rates(
    batches: Batches, machine: Machine | None, limits: Mapping[str, float]
) -> Iterator[Score]:
    for (name, unit), (amounts, seconds) in _amounts(batches, machine, limits).items():
        parts = ratio_parts(amounts, seconds)
        rate, stderr = float(parts.mean()), mean_stderr(parts)
        low, high = t_interval(rate, stderr, len(parts) - 1) if stderr > 0 else (None, None)
        yield Score(
            task=_TASK,
            metric=name,
            filter=batches.setting.name,
            value=rate,
            stderr=stderr,
            ci_low=low,
            ci_high=high,
            n=len(parts),
            higher_is_better=True,
            interval=None if low is None else "t",
            aggregation="total rate",
            family=_FAMILY,
            unit=unit,
        )


def _amounts(
    batches: Batches, machine: Machine | None, limits: Mapping[str, float]
) -> dict[tuple[str, str], tuple[Array, Array]]:
    """(Name, unit) of each rate -> what is counted of each batch, and in how many seconds."""
    size, prompt = batches.setting.batch_size, batches.setting.prompt_tokens
    seconds = batches.seconds
    new = np.array([sum(r.output_tokens for r in batch) for batch in batches.responses])
    requests = np.full(len(seconds), float(size))
    # Of an endpoint's prompts nobody knows the tokens but the server, where it tells.
    prompts = np.array([[r.prompt_tokens or prompt for r in batch] for batch in batches.responses])
    read_s = seconds
    if batches.setting.is_batch:
        read_s = np.array([max(r.first_token_s or 0.0 for r in b) for b in batches.responses])
    found = {
        ("output_tokens_per_s", "tokens/s"): (new, seconds),
        ("requests_per_s", "requests/s"): (requests, seconds),
        ("input_tokens_per_s", "tokens/s"): (prompts.sum(axis=1), read_s),
    }
    if machine:
        work, tokens = machine.work, requests * (prompt - 1) + new
        flop = work.linear_flop * tokens + work.output_flop * new
        read = (work.weight_bytes + _cache_read(batches, work)) * (new / size - 1)
        most_flop, most_read = 1e9 * machine.matmul_gflops, 1e9 * machine.copy_gb_s
        found["model_flop_utilisation", ""] = flop / most_flop, seconds
        found["bandwidth_utilisation", ""] = read / most_read, seconds - read_s
    if limits:
        good = np.array([_good(batch, limits) for batch in batches.responses])
        found["goodput_requests_per_s", "requests/s"] = good, seconds
    return found


def _cache_read(batches: Batches, work: Work) -> float:
    """Bytes of keys and values that a step reads, at the middle of the text."""
    new = batches.responses[0][0].output_tokens
    tokens = batches.setting.prompt_tokens + new / 2
    return batches.setting.batch_size * tokens * (work.cache_bytes or 0)


def _good(batch: Sequence[Response], limits: Mapping[str, float]) -> int:
    """Requests that keep every limit."""
    return sum(all(_quantity(r, name) <= most for name, most in limits.items()) for r in batch)


def _quantity(response: Response, name: str) -> float:
    return {
        "first_token_s": response.first_token_s or 0.0,
        "time_per_output_token_s": response.per_token_s or 0.0,
        "end_to_end_s": response.total_s or 0.0,
    }[name]


def _whole(batches: Sequence[Batches], machine: Machine | None) -> Iterator[Score]:
    """Figures that belong to no setting: the model's, the machine's, and how noisy it was."""
    plain: list[tuple[str, float | None, str, bool | None]] = [
        ("noise", max(one.noise for one in batches), "", None)
    ]
    if machine:
        plain += [
            ("load_s", machine.load_s, "seconds", False),
            *((name, float(size), "bytes", False) for name, size in machine.memory.items()),
            ("cache_bytes_per_token", machine.work.cache_bytes, "bytes", False),
            ("matmul_gflop_per_s", machine.matmul_gflops, "GFLOP/s", None),
            ("copy_gb_per_s", machine.copy_gb_s, "GB/s", None),
        ]
    for name, value, unit, better in plain:
        yield _single(name, value, unit, better)
    new = sum(r.output_tokens for one in batches for batch in one.responses for r in batch)
    energy, why = (machine.energy_j, machine.why_no_energy) if machine else (None, _ELSEWHERE)
    note = f"energy_j is undefined: {why}." if why else None
    yield replace(_single("energy_j", energy, "joules", False), n=new, note=note)


def _single(name: str, value: float | None, unit: str, better: bool | None) -> Score:
    return Score(
        task=_TASK,
        metric=name,
        filter="none",
        value=value,
        stderr=None,
        ci_low=None,
        ci_high=None,
        n=1,
        higher_is_better=better,
        aggregation="single",
        family=_FAMILY,
        unit=unit,
    )


def _held(rounds: Sequence[int]) -> Iterator[Score]:
    """Memory while answering, loading left out: the mean over rounds of the most each one held."""
    if not rounds:
        return
    found = estimate([(float(held),) for held in rounds], "mean")
    yield replace(
        _single("serving_memory_bytes", found.value, "bytes", False),
        stderr=found.stderr,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        n=found.n,
        interval=found.method,
        aggregation="mean of rounds",
    )
