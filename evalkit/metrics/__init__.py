"""Metrics: pure functions, numbers in, numbers out."""

from evalkit.metrics.aggregation import AGGREGATIONS, Aggregation
from evalkit.metrics.statistics import sample_statistics

__all__ = ["AGGREGATIONS", "Aggregation", "sample_statistics"]
