"""Can `evalkit profile` be believed? `make bench-profile`, into reports/profile.md; five minutes.

Ten profiles of one checkpoint have to agree, a planted delay has to be found, the parts have to sum
to the whole, and measuring must cost next to nothing. Run it on an idle machine.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

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
MOST = {"spread": 0.10, "delay": 0.05, "parts": 0.02, "overhead": 0.02}


def main() -> None:
    """Measure every promise on every checkpoint that is named, write, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.profile")
    parser.add_argument("models", nargs="+", help="checkpoint folders")
    parser.add_argument("--profiles", type=int, default=10)
    parser.add_argument("--output", type=Path, default=REPORTS)
    chosen = parser.parse_args()
    rows = []
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as store:
            rows += [(Path(model).name, *row) for row in measure(model, store, chosen.profiles)]
    lines = [
        "# How far a profile can be believed",
        "",
        "Made by `make bench-profile`. Each line is a promise and what was found of it.",
        "",
        "| checkpoint | what | found | promised | kept |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {model} | {what} | {found:.1%} | {most:.0%} | {'yes' if found <= most else 'no'} |"
            for model, what, found, most in rows
        ),
    ]
    (chosen.output / "profile.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    sys.exit(any(found > most for *_, found, most in rows))


def measure(model: str, store: str, profiles: int) -> Iterator[tuple[str, float, float]]:
    """What was looked at, the worst found, and the most that is promised."""
    found = [_medians(profile(model, store=store, **SETTINGS)) for _ in range(profiles)]
    spread = max(_spread([one[figure] for one in found]) for figure in found[0])
    yield f"furthest p50 of {profiles} profiles from their median", spread, MOST["spread"]
    with sleeping(STEP_S):
        slow = _medians(profile(model, store=store, **SETTINGS))
    middle = {figure: statistics.median(one[figure] for one in found) for figure in found[0]}
    lost = max(
        abs(slow[figure] - middle[figure] - STEP_S) / STEP_S
        for figure in middle
        if figure[0] in ("time_per_output_token_s_p50", "first_token_s_p50")
    )
    yield "20 ms planted in every step, missed by", lost, MOST["delay"]
    yield "100 ms planted in a server, missed by", _served(model, store), MOST["delay"]
    yield "first token and the gaps after it against a clock outside", _parts(model), MOST["parts"]
    yield "end-to-end, timed against not timed", _overhead(model), MOST["overhead"]


def _served(model: str, store: str) -> float:
    """By which share a wait before a server's first token is missed."""
    with serving(Model(model)) as server:
        found = []
        for server.wait_s in (0.0, WAIT_S):
            address = f"openai:{server.url}#served"
            result = profile(
                address, store=store, **SETTINGS | {"batch_sizes": [1], "new_tokens": 8}
            )
            found.append(_medians(result)["first_token_s_p50", "prompt32-batch1"])
    return abs(found[1] - found[0] - WAIT_S) / WAIT_S


@contextmanager
def sleeping(seconds: float) -> Iterator[None]:
    """Let every model that is loaded sleep in each forward pass."""
    load = computed.load_model

    def load_slow(*arguments: Any, **settings: Any) -> Any:
        loaded = load(*arguments, **settings)
        loaded.model.register_forward_pre_hook(lambda *_: time.sleep(seconds))
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
