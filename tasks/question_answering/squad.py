"""SQuAD's documents and scores, for the task file beside this one."""

import hashlib
from typing import Any

from evalkit.metrics.squad import exact_match, token_f1


def with_passages(docs: Any) -> Any:
    """Rows with a short name of their passage, of which several questions are asked."""
    return docs.map(
        lambda row: {"passage": hashlib.sha256(row["context"].encode()).hexdigest()[:12]}
    )


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Exact match and token F1 with the nearest of the answers that people gave."""
    answers = doc["answers"]["text"]
    return {
        "exact_match": exact_match(results[0], answers),
        "f1": token_f1(results[0], answers),
    }
