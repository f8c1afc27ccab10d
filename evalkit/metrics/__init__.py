"""Metrics: pure functions, numbers in, numbers out."""
