"""`evalkit profile`: how fast a checkpoint is on this machine, and what it needs."""

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.cli import options
from evalkit.cli.output import figure, interval, note, plain, print_table, store_option
from evalkit.errors import UsageError
from evalkit.profiling.settings import ProfileSettings
from evalkit.settings import describe as describe_setting

if TYPE_CHECKING:
    from evalkit.runner import RunResult
    from evalkit.types import Score

describe = partial(describe_setting, settings=ProfileSettings)
_SIZES = "1,4,16"
_PERCENTILES = (50, 90, 95, 99)
_LATENCIES = {
    "first_token_s": "Time to first token",
    "time_per_output_token_s": "Time per output token",
    "inter_token_s": "Inter-token latency",
    "end_to_end_s": "End-to-end latency",
}
_RATES = {
    "input_tokens_per_s": "Input tokens/s",
    "output_tokens_per_s": "Output tokens/s",
    "requests_per_s": "Requests/s",
    "goodput_requests_per_s": "Goodput, requests/s",
    "model_flop_utilisation": "FLOP utilisation",
    "bandwidth_utilisation": "Bandwidth utilisation",
}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("profile")(profile)


def profile(
    model: Annotated[str, typer.Option("--model", help=describe("model"))],
    batch_sizes: Annotated[
        str | None, typer.Option(help=describe("batch_sizes"), show_default=_SIZES)
    ] = None,
    prompt_tokens: Annotated[str, typer.Option(help=describe("prompt_tokens"))] = "32,256,1024",
    new_tokens: Annotated[int, typer.Option(help=describe("new_tokens"))] = 64,
    concurrency: Annotated[
        str | None, typer.Option(help="Another name of --batch-sizes, as endpoints call them.")
    ] = None,
    rates: Annotated[str, typer.Option(help=describe("rates"))] = "",
    arrivals: Annotated[int, typer.Option(help=describe("arrivals"))] = 20,
    repeats: Annotated[int, typer.Option(help=describe("repeats"))] = 8,
    goodput: Annotated[
        list[str] | None, typer.Option(metavar="QUANTITY=SECONDS", help=describe("goodput"))
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    compile_: options.Compile = False,
    mirror: options.Mirror = None,
    store: options.Store = options.DEFAULT_STORE,
    name: options.Name = None,
    as_json: options.Json = False,
) -> None:
    """Time a checkpoint under several settings, and keep every request in the store."""
    from evalkit.cli.quiet import quick_imports, quiet_libraries

    if batch_sizes is not None and concurrency is not None:
        raise UsageError("--batch-sizes and --concurrency are the same; give one of them.")
    sizes = batch_sizes if concurrency is None else concurrency
    quiet_libraries()
    with quick_imports():
        from evalkit.profiling.measure import profile as measure
    result = measure(
        model,
        batch_sizes=_SIZES if sizes is None else sizes,
        rates=rates,
        arrivals=arrivals,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        repeats=repeats,
        goodput=_limits(goodput or []),
        seed=seed,
        device=device,
        dtype=dtype,
        compile=compile_,
        mirror=mirror,
        store=store,
        name=name,
    )
    if as_json:
        print(json.dumps(result.summary(), allow_nan=False))
        return
    asked = ProfileSettings.checked(model=model, prompt_tokens=prompt_tokens).prompt_tokens
    used = ProfileSettings.checked(**result.manifest.settings).prompt_tokens
    if left_out := [str(tokens) for tokens in asked if tokens not in used]:
        note(f"note: prompts of {', '.join(left_out)} tokens leave no room in the model's context.")
    _print(result, ProfileSettings.checked(**result.manifest.settings))


def _limits(pairs: Sequence[str]) -> dict[str, Any]:
    limits = {}
    for pair in pairs:
        quantity, separator, seconds = pair.partition("=")
        if not separator:
            raise UsageError(f"--goodput {pair!r} is not of the form QUANTITY=SECONDS.")
        limits[quantity] = seconds
    return limits


def _print(result: "RunResult", settings: ProfileSettings) -> None:
    scores = {(score.metric, score.filter): score for score in result.scores}
    names = list(dict.fromkeys(s.filter for s in result.scores if s.filter != "none"))
    rows = [
        (name, title, *(_milliseconds(scores.get((f"{key}_p{p}", name))) for p in _PERCENTILES))
        for name in names
        for key, title in _LATENCIES.items()
    ]
    print_table(("Setting", "Milliseconds", *(f"p{p}" for p in _PERCENTILES)), rows)
    print()
    known = [key for key in _RATES if any((key, name) in scores for name in names)]
    rates = [(name, *(_value(scores.get((key, name))) for key in known)) for name in names]
    print_table(("Setting", *(_RATES[key] for key in known)), rates)
    print()
    whole = [score for score in result.scores if score.filter == "none"]
    if whole:
        print_table(
            ("Model and machine", "Value", "Unit"),
            [(score.metric, figure(score.value) or "undefined", score.unit) for score in whole],
        )
    from evalkit.engine.endpoint import is_endpoint

    most = "at most " if is_endpoint(settings.model) else ""
    print(
        f"\nMedian and tail of {settings.repeats} batches of each setting, taken in turn after one "
        f"warm-up each, {most}{settings.new_tokens} new tokens a request; 95 % intervals over "
        "batches."
    )
    remarks = dict.fromkeys(score.note for score in result.scores if score.note)
    for remark in [*result.manifest.warnings, *remarks]:
        note(f"note: {remark}")
    where = store_option(settings.store)
    print(
        plain(f"Run {result.manifest.run_id} is in {result.path}; next: evalkit dashboard{where}")
    )


def _milliseconds(score: "Score | None") -> str:
    if score is None or score.value is None:
        return ""
    ends = [None if end is None else 1000 * end for end in (score.ci_low, score.ci_high)]
    return f"{1000 * score.value:.4g} {interval(*ends) or ''}".strip()


def _value(score: "Score | None") -> str:
    if score is None or score.value is None:
        return ""
    return f"{figure(score.value)} {interval(score.ci_low, score.ci_high) or ''}".strip()
