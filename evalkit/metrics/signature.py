"""How a corpus metric was computed, in the words of the library that did."""

from evalkit.metrics.statistics import sacrebleu_metric


def signature(aggregation: str, references: int | None = None) -> str:
    """Sacrebleu's signature of bleu, chrf, chrf++ or ter; empty for other aggregations.

    Args:
        aggregation: Name in `evalkit.metrics.aggregation.AGGREGATIONS`.
        references: References of each sample; None where they differ in number.

    Source: Post 2018, "A call for clarity in reporting BLEU scores".
    """
    metric = sacrebleu_metric(aggregation)
    if metric is None:
        return ""
    # A metric asks to be fitted first, but only to know the number of references.
    metric.num_refs = -1 if references is None else references
    return str(metric.get_signature())
