"""ROUGE-L of a summary, for the task files beside this one."""

from typing import Any

from rouge_score.rouge_scorer import RougeScorer

_SCORER = RougeScorer(["rougeL"], use_stemmer=True)


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """F-measure of the longest common subsequence (Lin 2004), words stemmed (Porter)."""
    score = _SCORER.score(target=doc["summary"], prediction=results[0])
    return {"rougeL": score["rougeL"].fmeasure}
