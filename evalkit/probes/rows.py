"""The data files of probes: one JSON object a line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.paths import bundled

OWN_LICENCE = "Apache-2.0"
"""Of the data files in `tasks/`, which evalkit's authors wrote."""


def read_rows(file: Path, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a data file.

    Args:
        file: The file.
        fields: What every row must have.

    Raises:
        DataError: The file cannot be read, or a line is no JSON object with these fields.
    """
    rows = []
    number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                if line.strip():
                    rows.append(_row(json.loads(line), fields))
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}:{number} is no row of this probe: {error}.") from error
    if not rows:
        raise DataError(f"{file} is empty.")
    return rows


def own_file(family: str, name: str) -> Path:
    """A data file of evalkit's own."""
    return bundled("tasks") / family / name


def _row(value: Any, fields: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    missing = [field for field in fields if field not in value]
    if missing:
        raise ValueError(f"it has no field {missing[0]!r}")
    return value
