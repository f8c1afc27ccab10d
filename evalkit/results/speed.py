"""How fast runs were: latency percentiles, throughput, memory, and quality against speed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from evalkit.errors import DataError
from evalkit.results.difference import TIMED
from evalkit.results.manifest import Manifest
from evalkit.results.profiles import PROFILE
from evalkit.results.queries import Overview
from evalkit.results.store import Store
from evalkit.stats.quantiles import quantile_interval

QUANTITIES = {
    "first_token_s": "time to first token",
    "per_token_s": "time per output token",
    "total_s": "end-to-end latency",
}
"""Column of `request_times` -> its name."""

PERCENTILES = (50, 90, 95, 99)
MEMORY_UNITS = ("bytes", "B", "MB", "MiB", "GB", "GiB")
_BYTES = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """Timed requests of some runs, and a sentence on each run whose timings are damaged.

    Attributes:
        rows: run_id, task, prompt_tokens, output_tokens, and the seconds of `QUANTITIES`.
        phases: run_id, phase, total_s: where the time of each run went.
    """

    rows: pd.DataFrame
    phases: pd.DataFrame
    problems: list[str]


def timed_runs(view: Overview) -> list[str]:
    """Runs with a score that is a timing, profiles aside, newest first."""
    scores = view.scores
    timed = set(scores.loc[scores["unit"].isin(TIMED) & (scores["task"] != PROFILE), "run_id"])
    return [run for run in view.manifests if run in timed]


def request_times(store: Store, runs: Sequence[str]) -> RequestTimes:
    """Read the timings of some runs; time per output token is over the tokens after the first."""
    tables, phases, problems = [], [], []
    for run in runs:
        try:
            table = _labelled(store.timings(run)).assign(run_id=run)
        except DataError as error:
            problems.append(str(error))
            continue
        tables.append(table[table["task"].notna()])
        phases.append(table.loc[table["task"].isna(), ["run_id", "phase", "total_s"]])
    columns = ["run_id", "task", "prompt_tokens", "output_tokens", "first_token_s", "total_s"]
    rows = pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)
    rows = rows.reset_index(drop=True).astype(dict.fromkeys(columns[2:], float))
    after_first, between = rows["output_tokens"] - 1, rows["total_s"] - rows["first_token_s"]
    # An answer in one piece has no time between its tokens.
    rows["per_token_s"] = between / after_first.where((after_first > 0) & (between > 0))
    spent = pd.concat(phases) if phases else pd.DataFrame(columns=["run_id", "phase", "total_s"])
    return RequestTimes(rows, spent.reset_index(drop=True), problems)


def _labelled(timings: pd.DataFrame) -> pd.DataFrame:
    """Timings whose task also names the setting, for each setting is a measurement of its own."""
    settings = timings["setting"]
    labels = timings["task"].where(settings.isna(), timings["task"] + " " + settings.fillna(""))
    return timings.assign(task=labels)


def latency_percentiles(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Percentiles of one of `QUANTITIES` for each run and task, in the order they come.

    Args:
        rows: Of `RequestTimes`.
        quantity: Its column.

    Returns:
        run_id, task, n (requests), percentile, value, ci_low and ci_high (seconds). The interval
        is distribution-free, and undefined where there are too few requests for one.
    """
    found = []
    for (run, task), mine in rows.groupby(["run_id", "task"], sort=False):
        values = mine[quantity].dropna().to_numpy(dtype=float)
        for percentile in PERCENTILES if len(values) else ():
            ends = quantile_interval(values, percentile / 100) or (np.nan, np.nan)
            value = float(np.quantile(values, percentile / 100))
            found.append((run, task, len(values), percentile, value, *ends))
    columns = ["run_id", "task", "n", "percentile", "value", "ci_low", "ci_high"]
    return pd.DataFrame(found, columns=columns)


def throughputs(view: Overview, phases: pd.DataFrame) -> pd.DataFrame:
    """How quickly each run was answered, and under which settings.

    Args:
        view: Of the store.
        phases: Of `RequestTimes`.

    Returns:
        run_id, requests_per_s (all of the run's requests over the seconds of answering; undefined
        where a run was resumed or took answers from another), batch_size, concurrency, device and
        dtype as text ("auto" where evalkit chose), parameters and weights_bytes (parameters times
        the bytes of the dtype; undefined where either is unknown).
    """
    answering = phases[phases["phase"] == "respond"].groupby("run_id")["total_s"].sum()
    rows = []
    for run_id in dict.fromkeys(phases["run_id"]):
        run = view.manifests[run_id]
        seconds = answering.get(run_id, np.nan)
        requests = sum(task.requests for task in run.tasks.values())
        whole = not run.resumed and not run.reused and seconds > 0
        rows.append(
            {
                "run_id": run_id,
                "requests_per_s": requests / seconds if whole else np.nan,
                **{name: _setting(run, name) for name in ("batch_size", "concurrency")},
                "device": _device(run),
                "dtype": str(run.settings.get("dtype") or "auto"),
                "parameters": run.model.parameters,
                "weights_bytes": _weights(run),
            }
        )
    columns = ["run_id", "requests_per_s", "batch_size", "concurrency", "device", "dtype"]
    return pd.DataFrame(rows, columns=[*columns, "parameters", "weights_bytes"])


def timed_on(view: Overview, runs: Sequence[str]) -> dict[str, list[str]]:
    """Machines on which runs were timed, in words, with the runs of each; unknown ones left out.

    Of a server the address stands for its machine.

    A time says something of two models only where one machine took both.
    """
    found: dict[str, list[str]] = {}
    for run_id in dict.fromkeys(runs):
        if words := _machine(view.manifests[run_id]):
            found.setdefault(words, []).append(run_id)
    return found


def memory_scores(view: Overview, runs: Sequence[str]) -> pd.DataFrame:
    """Scores of these runs that are a memory, in their own units; columns as `Overview.scores`."""
    scores = view.scores
    return scores[scores["run_id"].isin(runs) & scores["unit"].isin(MEMORY_UNITS)]


def quality_and_speed(view: Overview, quality: str, speed: str) -> pd.DataFrame:
    """Runs with two figures, newest first, and which of them no other run beats in both.

    A run that lacks the speed has that of the newest run of the same weights, computed in the same
    way, such as a profile.

    Args:
        view: Of the store.
        quality: A figure of `view.scores`, as a column heading.
        speed: Another.

    Returns:
        run_id (of the quality), x with x_low and x_high (speed), y with y_low and y_high (quality),
        and best: whether no run is at least as good in both and better in one. Runs without either
        figure are left out.
    """
    sides = []
    for figure, axis in ((speed, "x"), (quality, "y")):
        rows = view.scores[view.scores["figure"] == figure].drop_duplicates("run_id")
        names = {"value": axis, "ci_low": f"{axis}_low", "ci_high": f"{axis}_high"}
        names |= {"higher_is_better": f"{axis}_better"}
        sides.append(rows.rename(columns=names)[["run_id", *names.values()]])
    timed, judged = sides
    weights = {run_id: _computed(run) for run_id, run in view.manifests.items()}
    known = timed.assign(weights=timed["run_id"].map(weights)).drop_duplicates("weights")
    known = known[known["weights"] != ""]
    same = judged["run_id"].map(weights).map(known.set_index("weights")["run_id"])
    judged["timed"] = judged["run_id"].where(judged["run_id"].isin(timed["run_id"]), same)
    both = judged.merge(timed.rename(columns={"run_id": "timed"}), on="timed")
    both = both.dropna(subset=["x", "y"]).reset_index(drop=True)
    costs = both[["x", "y"]].to_numpy(dtype=float)
    for place, axis in enumerate(("x", "y")):
        if not both[f"{axis}_better"].eq(False).any():
            costs[:, place] *= -1
    columns = ["run_id", "x", "x_low", "x_high", "y", "y_low", "y_high"]
    return both[columns].assign(best=pareto_front(costs))


def pareto_front(costs: ArrayLike) -> NDArray[np.bool_]:
    """Which rows no other row dominates: none is as low everywhere and lower somewhere.

    Args:
        costs: Shape (n, k); less is better.
    """
    rows = np.asarray(costs, dtype=np.float64)
    found = np.ones(len(rows), dtype=np.bool_)
    for place, row in enumerate(rows):
        found[place] = not ((rows <= row).all(axis=1) & (rows < row).any(axis=1)).any()
    return found


def _computed(run: Manifest) -> str:
    """Which weights, and what makes one speed of them another; empty where they are unknown."""
    ways = [name for name in ("compile",) if run.settings.get(name)]
    ways += [str(run.settings["dtype"])] if run.settings.get("dtype") else []
    return " ".join([run.model.weights_hash, *ways]) if run.model.weights_hash else ""


def _device(run: Manifest) -> str:
    hardware = run.environment.get("hardware")
    return str(hardware.get("device", "")) if isinstance(hardware, Mapping) else ""


def _machine(run: Manifest) -> str:
    hardware = run.environment.get("hardware")
    if not isinstance(hardware, Mapping):
        return ""
    if hardware.get("device") == "endpoint":
        return run.model.path
    parts = [hardware.get(name) for name in ("cpu", "device")]
    threads = hardware.get("threads")
    return ", ".join(str(part) for part in (*parts, threads and f"{threads} threads") if part)


def _setting(run: Manifest, name: str) -> str:
    value = run.settings.get(name)
    return "auto" if value is None else str(value)


def _weights(run: Manifest) -> float:
    size = _BYTES.get(str(run.settings.get("dtype")).removeprefix("torch."))
    return np.nan if size is None or run.model.parameters is None else size * run.model.parameters
