"""What was looked at while checkpoints were trained: `metrics.parquet` beside them."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evalkit.errors import DataError
from evalkit.results.manifest import Manifest
from evalkit.results.parquet import first_line
from evalkit.results.queries import Overview
from evalkit.results.training_curves import TrainingSeries

METRICS_NAME = "metrics.parquet"
RECORD_NAME = "evalkit.json"
LOOKED_AT = {
    "loss": "training loss",
    "held_out_loss": "held-out loss",
    "learning_rate": "learning rate",
    "grad_norm": "norm of the gradient",
    "tokens_per_s": "tokens a second",
}
"""Column of a training's log -> what it is called."""

POINTS = 300
_BANDED = ("loss", "grad_norm", "tokens_per_s")
_SHARE = 40
_FEWEST = 5
_NUMBERS = ["step", "tokens_seen", *LOOKED_AT]
_TEXTS = ["event", "detail"]


def find_log(view: Overview, series: TrainingSeries) -> Path | None:
    """Where the log of a training lies on this machine; None where it does not.

    It is looked for beside the checkpoints that were measured. A checkpoint counts only if its
    folder still holds what was measured, so that the log of a later training in the same place is
    not taken for this one's.
    """
    for run_id in series.measured:
        run = view.manifests[run_id]
        with suppress(OSError, ValueError):  # a path that this machine cannot even name
            log = Path(run.model.path).parent / METRICS_NAME
            if log.is_file() and _is_there(run):
                return log
    return None


def read_log(path: Path) -> pd.DataFrame:
    """Every look at a training, by step.

    Returns:
        step, tokens_seen (between two looks interpolated), the columns of `LOOKED_AT` (NaN where a
        look has none), event ("spike", "plateau" or "") and detail (the same in words).

    Raises:
        DataError: The file is damaged.
    """
    try:
        table = pq.read_table(path)
        known = [name for name in (*_NUMBERS, *_TEXTS) if name in table.column_names]
        frame = table.select(known).to_pandas().reindex(columns=[*_NUMBERS, *_TEXTS])
        frame[_NUMBERS] = frame[_NUMBERS].astype(float)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{path} is no readable log of a training: {first_line(error)}") from error
    frame = frame[frame["step"].notna()].sort_values("step", kind="stable").reset_index(drop=True)
    frame[list(LOOKED_AT)] = frame[list(LOOKED_AT)].where(np.isfinite(frame[list(LOOKED_AT)]))
    seen = frame.dropna(subset=["tokens_seen"])
    if len(seen):
        frame["tokens_seen"] = np.interp(frame["step"], seen["step"], seen["tokens_seen"])
    return frame.assign(**{name: frame[name].astype(object).fillna("") for name in _TEXTS})


def log_curve(log: pd.DataFrame, quantity: str, along: str = "step") -> pd.DataFrame:
    """One column of a log as a curve of at most `POINTS` points.

    Where there are more looks, neighbours are drawn as their mean. The band is where eight of ten
    of the looks around a point lie; there is none for what the recipe sets or what is measured
    seldom.

    Args:
        log: Of `read_log`.
        quantity: One of `LOOKED_AT`.
        along: "step" or "tokens_seen".

    Returns:
        position, value, ci_low and ci_high (the band; NaN without one), event and detail of the
        first event at the point ("" without one).
    """
    rows = log[log[quantity].notna() & log[along].notna()]
    values = rows[quantity]
    low = high = pd.Series(np.nan, index=rows.index)
    if quantity in _BANDED and len(rows) >= 2 * _FEWEST:
        window = max(_FEWEST, len(rows) // _SHARE)
        around = values.rolling(window, center=True, min_periods=_FEWEST // 2 + 1)
        low, high = around.quantile(0.1), around.quantile(0.9)
    happened = rows["event"].replace("", None)
    points = pd.DataFrame(
        {
            "position": rows[along], "value": values, "ci_low": low, "ci_high": high,
            "event": happened, "detail": rows["detail"].where(happened.notna()),
        }
    )  # fmt: skip
    place = np.arange(len(rows)) // max(1, -(-len(rows) // POINTS))
    means = dict.fromkeys(["position", "value", "ci_low", "ci_high"], "mean")
    found = points.groupby(place).agg({**means, "event": "first", "detail": "first"})
    texts = {name: found[name].astype(object).where(found[name].notna(), "") for name in _TEXTS}
    return found.assign(**texts).reset_index(drop=True)


def _is_there(run: Manifest) -> bool:
    """Whether a run's checkpoint still lies where it was measured."""
    record = run.model.training or {}
    known = json.loads((Path(run.model.path) / RECORD_NAME).read_text(encoding="utf-8"))
    same = ("name", "step", "tokens_seen", "created")
    return isinstance(known, dict) and all(known.get(key) == record.get(key) for key in same)
