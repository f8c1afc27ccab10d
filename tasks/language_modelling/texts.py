"""Documents of running text, for the task files beside this one."""

from typing import Any


def without_blank(docs: Any) -> Any:
    """Rows whose field `text` says something."""
    return docs.filter(lambda row: bool(row["text"].strip()))
