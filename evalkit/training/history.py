"""metrics.parquet: everything that was looked at while a series was trained, a row a look."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

METRICS_NAME = "metrics.parquet"


def _column(name: str, kind: pa.DataType, unit: str) -> "pa.Field[pa.DataType]":
    return pa.field(name, kind, metadata={"unit": unit})


SCHEMA = pa.schema(
    [
        _column("step", pa.int64(), "optimiser steps"),
        _column("tokens_seen", pa.int64(), "tokens"),
        _column("loss", pa.float64(), "nats a token, mean since the row before"),
        _column("held_out_loss", pa.float64(), "nats a token"),
        _column("learning_rate", pa.float64(), ""),
        _column("grad_norm", pa.float64(), "before clipping"),
        _column("tokens_per_s", pa.float64(), "tokens a second, of all processes"),
        _column("peak_share", pa.float64(), "share of the machine's matrix-product peak"),
        _column("wall_s", pa.float64(), "seconds of training so far"),
        _column("event", pa.string(), "spike, plateau"),
        _column("detail", pa.string(), "what happened, in words"),
    ]
)


class History:
    """The rows of a training so far."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS_NAME
        self.rows: list[dict[str, Any]] = []

    def restore(self, step: int) -> None:
        """Take up the rows of a training that is gone on with, up to a step."""
        if self._path.is_file():
            known = pq.read_table(self._path).to_pylist()
            self.rows = [row for row in known if row["step"] <= step]

    def add(self, **values: Any) -> None:
        """Add a row; what is not known stays null."""
        self.rows.append(values)

    def write(self) -> None:
        """Write all rows, whole or not at all."""
        unfinished = self._path.with_name(f".{METRICS_NAME}.unfinished")
        pq.write_table(pa.Table.from_pylist(self.rows, SCHEMA), unfinished)
        os.replace(unfinished, self._path)  # noqa: PTH105 - replaces what is there

    def losses(self, most: int) -> list[float]:
        """The training losses of the last looks."""
        found = [row["loss"] for row in self.rows if row.get("loss") is not None]
        return found[-most:]

    @property
    def held_out_loss(self) -> float | None:
        """The last one measured."""
        found = [row["held_out_loss"] for row in self.rows if row.get("held_out_loss") is not None]
        return found[-1] if found else None
