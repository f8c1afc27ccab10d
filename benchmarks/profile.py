"""Can `evalkit profile` be believed? `make bench-profile`, into reports/profile.md.

Ten profiles of one checkpoint have to agree, planted delays have to be found, the parts have to sum
to the whole, and measuring must cost next to nothing. What is compared is measured in turn, batch
by batch. Ten profiles one after another agree on an idle machine only: beside each one products
like a step's are timed without evalkit, and where these stray further than the promise it is not
judged. A small model takes twenty minutes.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from evalkit.engine import computed, local
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.profiling import profile
from evalkit.results import Store
from evalkit.types import Decoding, Request, RequestKind
from evalkit.variants.turns import profile_in_turns
from tests.engine.endpoint_server import Model, serving

REPORTS = Path(__file__).parents[1] / "reports"
SETTINGS: dict[str, Any] = {
    "batch_sizes": [1, 4],
    "prompt_tokens": [32],
    "new_tokens": 64,
    "device": "cpu",
}
STEP_S, WAIT_S = 0.020, 0.100
TURNS = 9
PASSES = "passes.csv"
Medians = dict[tuple[str, str], float]
MOST = {"spread": 0.10, "delay": 0.05, "parts": 0.02, "overhead": 0.02}


def main() -> None:
    """Measure every promise on every checkpoint that is named, write, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.profile")
    parser.add_argument("models", nargs="+", help="checkpoint folders")
    parser.add_argument("--profiles", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=40, help="timed batches of each setting")
    parser.add_argument("--output", type=Path, default=REPORTS)
    chosen = parser.parse_args()
    findings = []
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as store:
            for finding in measure(model, store, chosen.profiles, chosen.rounds):
                findings.append((Path(model).name, finding))
                print(_row(*findings[-1]), flush=True)
    lines = [
        "# How far a profile can be believed",
        "",
        "Made by `make bench-profile`. Each line is a promise and what was found of it, in "
        f"profiles of {chosen.rounds} timed batches of each setting.",
        "",
        "| checkpoint | what | found | promised | kept |",
        "| --- | --- | --- | --- | --- |",
        *(_row(model, finding) for model, finding in findings),
    ]
    (chosen.output / "profile.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(any(finding.verdict == "no" for _, finding in findings))


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, the worst that was found, and the most that is promised, if anything.

    Attributes:
        unrest: How far the machine itself strayed meanwhile, where that decides.
    """

    what: str
    found: float
    most: float | None
    unrest: float = 0.0

    @property
    def verdict(self) -> str:
        """Whether no more was found than is promised."""
        if self.most is None:
            return ""
        if self.found <= self.most:
            return "yes"
        return "not judged: the machine was not idle" if self.unrest > self.most else "no"


def _row(model: str, finding: Finding) -> str:
    promised = "" if finding.most is None else f"{finding.most:.0%}"
    return f"| {model} | {finding.what} | {finding.found:.1%} | {promised} | {finding.verdict} |"


def measure(model: str, store: str, profiles: int, rounds: int) -> Iterator[Finding]:
    """Each promise in turn."""
    found, own = [], []
    settings = {**SETTINGS, "repeats": rounds, "store": store}
    for _ in range(profiles):
        own.append(_products(model))
        found.append(_medians(profile(model, **settings).scores))
    unrest = _spread(own)
    yield Finding("furthest of the same products, without evalkit", unrest, None)
    what = f"furthest p50 of {profiles} profiles from their median, one after another"
    yield Finding(what, _furthest(found), MOST["spread"], unrest)
    in_turn = _in_turn([model] * profiles, settings)
    what = f"furthest p50 of {profiles} profiles from their median, batch by batch in turn"
    yield Finding(what, _furthest(in_turn), MOST["spread"])
    yield from _planted(model, settings)
    yield from _served(model, store)
    what = "first token and the gaps after it against a clock outside"
    yield Finding(what, _parts(model), MOST["parts"])
    yield Finding("end-to-end, timed against not timed", _overhead(model), MOST["overhead"])


def _in_turn(models: Sequence[str], settings: dict[str, Any]) -> list[Medians]:
    """Medians of profiles that are taken side by side."""
    opened = Store(settings["store"])
    runs = profile_in_turns([(model, settings) for model in models])
    return [_medians(opened.scores([run]).itertuples()) for run in runs]


def _planted(model: str, settings: dict[str, Any]) -> Iterator[Finding]:
    """How well a delay in every step is found.

    A forward pass is slower itself after a wait, for the cores and their caches have gone to other
    work; by how much is taken out by a clock around the passes.
    """
    with tempfile.TemporaryDirectory() as folder:
        copies = [shutil.copytree(model, Path(folder) / how) for how in ("plain", *WAITS)]
        profiled = _in_turn(list(map(str, copies)), settings)
        passes = [_passes(copy) for copy in copies]
    for how, slow, slowed in zip(WAITS, profiled[1:], passes[1:], strict=True):
        slower = slowed - passes[0]
        what = f"forward passes slower after 20 ms {how}, as a share of these"
        yield Finding(what, max(slower) / STEP_S, None)
        what = f"20 ms planted in every step, {how}, missed by"
        yield Finding(what, _missed(profiled[0], slow, slower), MOST["delay"])


def _missed(plain: Medians, slow: Medians, slower: pd.Series) -> float:
    """By which share the delay of a step is missed, of the figure that misses it most."""
    missed = []
    for (metric, setting), seconds in slow.items():
        if metric != "end_to_end_s_p50":
            is_first = metric == "first_token_s_p50"
            own = slower[is_first, int(setting.rpartition("batch")[2])]
            missed.append(abs(seconds - plain[metric, setting] - own - STEP_S) / STEP_S)
    return max(missed)


def _passes(model: Path) -> pd.Series:
    """Median seconds of forward passes, by whether they read prompts, and batch size."""
    passes = pd.read_csv(model / PASSES, names=["rows", "tokens", "seconds"])
    reads = passes["tokens"] > 1
    # Prompts are packed into one row.
    packed = (passes["tokens"] / SETTINGS["prompt_tokens"][0]).round().astype(int)
    return passes["seconds"].groupby([reads, passes["rows"].where(~reads, packed)]).median()


def _spin(seconds: float) -> None:
    """Wait without letting the processor rest, which after a sleep is slower for a while."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


WAITS: dict[str, Callable[[float], object]] = {"asleep": time.sleep, "busy": _spin}


def _products(model: str) -> float:
    """Median seconds, over two, of products with as many weights as the model has."""
    size = open_checkpoint(model).parameters
    weights = [torch.ones(512, 512) for _ in range(max(1, size // 512**2))]
    inputs, taken = torch.ones(4, 512), []
    until = time.perf_counter() + 2
    while (start := time.perf_counter()) < until:
        for weight in weights:
            inputs @ weight
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


class _Clocked(Model):
    """Clocks its texts, which it makes before a stream begins and slower after a wait."""

    def generate(self, body: Any) -> Any:
        start = time.perf_counter()
        made = super().generate(body)
        self.taken.append(time.perf_counter() - start)
        return made


def _served(model: str, store: str) -> Iterator[Finding]:
    """How well a wait before a server's first token is found, as a median of turns."""
    settings = SETTINGS | {"batch_sizes": [1], "new_tokens": 8, "repeats": 5}
    served = _Clocked(model)
    found, own = [], []
    with serving(served) as server:
        address = f"openai:{server.url}#served"
        for _ in range(TURNS):
            for server.wait_s in (0.0, WAIT_S):
                served.taken = []
                result = profile(address, store=store, **settings)
                found.append(_medians(result.scores)["first_token_s_p50", "prompt32-concurrency1"])
                own.append(statistics.median(served.taken))
    added, slower = (statistics.median(np.diff(seconds)[::2]) for seconds in (found, own))
    what = "texts of a server slower after 100 ms asleep, as a share of these"
    yield Finding(what, abs(slower) / WAIT_S, None)
    what = "100 ms planted in a server, missed by"
    yield Finding(what, abs(added - slower - WAIT_S) / WAIT_S, MOST["delay"])


def _plant() -> None:
    """Let models from a folder named after a wait do so in each pass, and clock every pass."""
    load = computed.load_model

    def load_slow(checkpoint: Any, *arguments: Any, **settings: Any) -> Any:
        loaded = load(checkpoint, *arguments, **settings)
        folder = Path(checkpoint.path)
        if folder.name in ("plain", *WAITS):
            _clock(loaded.model, WAITS.get(folder.name, lambda _: None), folder / PASSES)
        return loaded

    computed.load_model = load_slow


def _clock(model: torch.nn.Module, wait: Callable[[float], object], passes: Path) -> None:
    """Wait before each forward pass, and write down what it took itself."""
    lines = passes.open("a", buffering=1)
    begun: list[float] = []

    def before(*_: Any) -> None:
        wait(STEP_S)
        begun.append(time.perf_counter())

    def after(_: Any, __: Any, named: dict[str, Any], ___: Any) -> None:
        rows, tokens = named["input_ids"].shape
        lines.write(f"{rows},{tokens},{time.perf_counter() - begun[-1]}\n")

    model.register_forward_pre_hook(before)
    model.register_forward_hook(after, with_kwargs=True)


def _medians(scores: Any) -> Medians:
    return {
        (score.metric, score.filter): score.value
        for score in scores
        if score.metric.endswith("_s_p50")
    }


def _furthest(found: Sequence[Medians]) -> float:
    return max(_spread([one[figure] for one in found]) for figure in found[0])


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
elif __name__ == "__mp_main__":  # a process that profiles in turn with others
    _plant()
