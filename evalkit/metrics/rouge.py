"""ROUGE of a summary, by the rouge-score package with Porter's stemmer."""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def rouge(prediction: str, references: Iterable[str]) -> dict[str, float]:
    """F-measure of each kind for the reference it suits best (Lin 2004).

    `rougeLsum` takes lines for sentences, as the package does.

    Raises:
        ValueError: There are no references.
    """
    scorer = _scorer()
    scores = [scorer.score(target=text, prediction=prediction) for text in references]
    return {kind: max(float(score[kind].fmeasure) for score in scores) for kind in KINDS}


def signature() -> str:
    """How the figures were made, in the manner of sacrebleu's signatures."""
    return f"measure:f|refs:best|stem:porter|sentences:lines|version:{version('rouge-score')}"


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(KINDS), use_stemmer=True)
