"""Can `evalkit profile` be believed? `make bench-profile`, into reports/profile.md.

Ten profiles of one checkpoint have to agree, planted delays have to be found, the parts have to sum
to the whole, and measuring must cost next to nothing. What is compared is measured in turn. Beside
each profile the same piece of arithmetic is timed without evalkit: how far those times lie apart is
the machine's own unrest, which no profile can be steadier than. Run it on an idle machine; a small
model takes five minutes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evalkit.engine import computed, local
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.profiling import profile
from evalkit.types import Decoding, Request, RequestKind
from tests.engine.endpoint_server import Model, serving

REPORTS = Path(__file__).parents[1] / "reports"
SETTINGS: dict[str, Any] = {
    "batch_sizes": [1, 4],
    "prompt_tokens": [32],
    "new_tokens": 64,
    "repeats": 15,
    "device": "cpu",
}
STEP_S, WAIT_S = 0.020, 0.100
TURNS = 3
MOST = {"spread": 0.10, "delay": 0.05, "parts": 0.02, "overhead": 0.02}


def main() -> None:
    """Measure every promise on every checkpoint that is named, write, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.profile")
    parser.add_argument("models", nargs="+", help="checkpoint folders")
    parser.add_argument("--profiles", type=int, default=10)
    parser.add_argument("--output", type=Path, default=REPORTS)
    chosen = parser.parse_args()
    findings = []
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as store:
            for finding in measure(model, store, chosen.profiles):
                findings.append((Path(model).name, finding))
                print(_row(*findings[-1]), flush=True)
    lines = [
        "# How far a profile can be believed",
        "",
        "Made by `make bench-profile`. Each line is a promise and what was found of it.",
        "",
        "| checkpoint | what | found | promised | kept |",
        "| --- | --- | --- | --- | --- |",
        *(_row(model, finding) for model, finding in findings),
    ]
    (chosen.output / "profile.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(any(finding.is_broken for _, finding in findings))


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, the worst that was found, and the most that is promised, if anything."""

    what: str
    found: float
    most: float | None

    @property
    def is_broken(self) -> bool:
        """Whether more was found than is promised."""
        return self.most is not None and self.found > self.most


def _row(model: str, finding: Finding) -> str:
    promised = "" if finding.most is None else f"{finding.most:.0%}"
    kept = "" if finding.most is None else "no" if finding.is_broken else "yes"
    return f"| {model} | {finding.what} | {finding.found:.1%} | {promised} | {kept} |"


def measure(model: str, store: str, profiles: int) -> Iterator[Finding]:
    """Each promise in turn."""
    found, own = [], []
    missed: dict[str, list[float]] = {"asleep": [], "busy": []}
    for number in range(profiles):
        own.append(_arithmetic())
        found.append(_medians(profile(model, store=store, **SETTINGS)))
        if number < TURNS:
            for how, wait in (("asleep", time.sleep), ("busy", _spin)):
                with delayed(STEP_S, wait):
                    slow = _medians(profile(model, store=store, **SETTINGS))
                missed[how].append(_missed(slow, found[-1]))
    yield Finding("furthest of the same arithmetic, without evalkit", _spread(own), None)
    spread = max(_spread([one[figure] for one in found]) for figure in found[0])
    what = f"furthest p50 of {profiles} profiles from their median"
    yield Finding(what, spread, MOST["spread"])
    for how, shares in missed.items():
        what = f"20 ms planted in every step, {how}, missed by"
        yield Finding(what, statistics.median(shares), MOST["delay"])
    yield Finding("100 ms planted in a server, missed by", _served(model, store), MOST["delay"])
    what = "first token and the gaps after it against a clock outside"
    yield Finding(what, _parts(model), MOST["parts"])
    yield Finding("end-to-end, timed against not timed", _overhead(model), MOST["overhead"])


def _missed(slow: dict[tuple[str, str], float], plain: dict[tuple[str, str], float]) -> float:
    """By which share the delay of a step is missed, of the figure that misses it most."""
    return max(
        abs(slow[figure] - plain[figure] - STEP_S) / STEP_S
        for figure in slow
        if figure[0] in ("time_per_output_token_s_p50", "first_token_s_p50")
    )


def _spin(seconds: float) -> None:
    """Wait without letting the processor rest, which after a sleep is slower for a while."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def _arithmetic() -> float:
    """Median seconds of a matrix product that takes as long as a step or so, over two seconds."""
    data, taken = torch.ones(512, 512), []
    until = time.perf_counter() + 2
    while (start := time.perf_counter()) < until:
        data @ data
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _served(model: str, store: str) -> float:
    """By which share a wait before a server's first token is missed, as a median of turns."""
    settings = SETTINGS | {"batch_sizes": [1], "new_tokens": 8, "repeats": 5}
    with serving(Model(model)) as server:
        address = f"openai:{server.url}#served"
        found = []
        for _ in range(TURNS):
            for server.wait_s in (0.0, WAIT_S):
                result = profile(address, store=store, **settings)
                found.append(_medians(result)["first_token_s_p50", "prompt32-concurrency1"])
    added = statistics.median(np.diff(found)[::2])
    return abs(added - WAIT_S) / WAIT_S


@contextmanager
def delayed(seconds: float, wait: Callable[[float], object]) -> Iterator[None]:
    """Let every model that is loaded wait in each forward pass."""
    load = computed.load_model

    def load_slow(*arguments: Any, **settings: Any) -> Any:
        loaded = load(*arguments, **settings)
        loaded.model.register_forward_pre_hook(lambda *_: wait(seconds))
        return loaded

    computed.load_model = load_slow
    try:
        yield
    finally:
        computed.load_model = load


def _medians(result: Any) -> dict[tuple[str, str], float]:
    return {
        (score.metric, score.filter): score.value
        for score in result.scores
        if score.metric.endswith("_s_p50")
    }


def _spread(values: Sequence[float]) -> float:
    middle = statistics.median(values)
    return max(abs(value - middle) for value in values) / middle


def _parts(model: str) -> float:
    """By how much the parts of a request miss what a clock outside the engine says, as a median."""
    engine = local.LocalEngine(open_checkpoint(model), device="cpu")
    decoding = Decoding(max_new_tokens=SETTINGS["new_tokens"])
    missed = []
    for _ in range(60):
        start = time.perf_counter()
        request = Request(RequestKind.TIMED, "Once", decoding=decoding)
        ((_, response),) = (pair for batch in engine.respond([request]) for pair in batch)
        whole = time.perf_counter() - start
        parts = (response.first_token_s or 0.0) + float(np.diff(response.token_s or ()).sum())
        missed.append(abs(parts - whole) / whole)
    return statistics.median(missed)


def _overhead(model: str) -> float:
    """What timing adds to the same text, by medians of turns; never less than nothing."""
    engine = local.LocalEngine(open_checkpoint(model), device="cpu")
    decoding = Decoding(max_new_tokens=SETTINGS["new_tokens"])
    kinds = (RequestKind.TIMED, RequestKind.GENERATE)
    requests = {kind: [Request(kind, "Once upon a time", decoding=decoding)] for kind in kinds}
    tokens = {kind: _tokens(engine, requests[kind]) for kind in kinds}
    seconds: dict[RequestKind, list[float]] = {kind: [] for kind in kinds}
    for _ in range(60):
        for kind in kinds:
            start = time.perf_counter()
            _tokens(engine, requests[kind])
            seconds[kind].append((time.perf_counter() - start) / tokens[kind])
    timed, plain = (statistics.median(seconds[kind]) for kind in kinds)
    return max(0.0, timed / plain - 1)


def _tokens(engine: local.LocalEngine, requests: Sequence[Request]) -> int:
    return sum(r.output_tokens for batch in engine.respond(requests) for _, r in batch)


if __name__ == "__main__":
    main()
