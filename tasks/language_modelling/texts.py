"""Documents of running text, for the task files beside this one."""

from typing import Any

from evalkit.errors import DataError


def without_blank(docs: Any) -> Any:
    """Rows whose field `text` says something."""
    if "text" not in docs.column_names:
        raise DataError(f"The file has no field 'text', only {', '.join(docs.column_names)}.")
    return docs.filter(lambda row: bool((row["text"] or "").strip()))
