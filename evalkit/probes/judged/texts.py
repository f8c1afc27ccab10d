"""The texts that a run has kept, to be judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalkit.results import Store

_COLUMNS = [
    "doc_id", "doc_hash", "prompt_hash", "cluster", "category", "prompt", "target", "responses",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class JudgedText:
    """One answer of a run.

    Attributes:
        doc_id: Of the document that was asked.
        key: Hashes of the document and of its prompt.
        question: The prompt.
        answer: What the model wrote.
        reference: The right answer, where the task has one.
        cluster: Family of documents it belongs to, if any.
        category: Label to break samples down by, if any.
    """

    doc_id: int
    key: tuple[str, str]
    question: str
    answer: str
    reference: str
    cluster: str | None
    category: str | None


def read_texts(store: Store, run_id: str, task: str) -> list[JudgedText]:
    """The first text of each document of a generation task, by document.

    Raises:
        DataError: The samples are missing or damaged.
    """
    samples = store.samples(run_id, task, _COLUMNS).drop_duplicates("doc_id").sort_values("doc_id")
    return [_text(row) for row in samples.to_dict("records") if len(row["responses"]) > 0]


def _text(row: Mapping[Any, Any]) -> JudgedText:
    def known(value: Any) -> str | None:
        return None if pd.isna(value) else str(value)

    return JudgedText(
        doc_id=int(row["doc_id"]),
        key=(str(row["doc_hash"]), str(row["prompt_hash"])),
        question=str(row["prompt"]).strip(),
        answer=str(row["responses"][0]).strip(),
        reference=known(row["target"]) or "",
        cluster=known(row["cluster"]),
        category=known(row["category"]),
    )
