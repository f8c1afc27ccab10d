"""What `evalkit profile` measured: each setting's latencies and rates, the machine and memory."""

import pandas as pd

from evalkit.results.queries import Overview

PROFILE = "profile"
"""Name of the task whose scores these are; its `filter` is the setting."""

LATENCIES = {
    "first_token_s": "time to first token",
    "time_per_output_token_s": "time per output token",
    "inter_token_s": "time between tokens",
    "end_to_end_s": "end-to-end latency",
}
"""Name of a quantity, to which `_p50` and so on is added -> what it is called."""

RATES = {
    "output_tokens_per_s": "output tokens/s",
    "input_tokens_per_s": "input tokens/s",
    "requests_per_s": "requests/s",
    "goodput_requests_per_s": "good requests/s",
    "model_flop_utilisation": "FLOP utilisation",
    "bandwidth_utilisation": "bandwidth utilisation",
}
"""Metric of a setting -> what it is called; utilisations are shares of what was measured."""

WHOLE = "none"
LOADS = {
    "batch": "batch size",
    "concurrency": "requests under way",
    "rate": "requests sent a second",
}
"""What a setting varies beside the length of prompts -> what it is called."""

_SETTING = r"prompt(?P<prompt_tokens>\d+)-(?P<load>batch|concurrency|rate)(?P<size>[\d.]+)"


def profile_latencies(view: Overview, quantity: str) -> pd.DataFrame:
    """Percentiles of one of `LATENCIES`, as the profile estimated them.

    Returns:
        As `latency_percentiles`, `task` being the setting; the newest run first.
    """
    rows = _of(view)
    parts = rows["metric"].str.extract(rf"^{quantity}_p(?P<percentile>\d+)$")
    rows = rows.assign(percentile=parts["percentile"], task=rows["filter"])
    rows = rows[rows["percentile"].notna() & rows["value"].notna()]
    columns = ["run_id", "task", "n", "percentile", "value", "ci_low", "ci_high"]
    return rows[columns].astype({"percentile": int}).reset_index(drop=True)


def profile_rates(view: Overview) -> pd.DataFrame:
    """Figures of `RATES` by setting, the newest run first.

    Returns:
        run_id, setting, prompt_tokens, load (of `LOADS`), size, metric, value, ci_low, ci_high.
    """
    rows = _of(view)
    rows = rows[rows["metric"].isin(RATES)]
    parts = rows["filter"].str.extract(_SETTING).astype({"prompt_tokens": float, "size": float})
    rows = rows.assign(setting=rows["filter"]).join(parts)
    columns = ["run_id", "setting", "prompt_tokens", "load", "size", "metric"]
    columns += ["value", "ci_low", "ci_high"]
    return rows.loc[parts["size"].notna(), columns].reset_index(drop=True)


def profile_machine(view: Overview) -> pd.DataFrame:
    """Figures of a profile that belong to no setting: run_id, metric, value, unit."""
    rows = _of(view)
    return rows.loc[rows["filter"] == WHOLE, ["run_id", "metric", "value", "unit"]].reset_index(
        drop=True
    )


def _of(view: Overview) -> pd.DataFrame:
    return view.scores[view.scores["task"] == PROFILE]
