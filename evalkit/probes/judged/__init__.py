"""Judged quality: a judge model's opinion of texts that other models wrote."""

from evalkit.probes.judged.labels import Labels, read_labels
from evalkit.probes.judged.pairwise import Pairwise
from evalkit.probes.judged.rubric import Rubric
from evalkit.probes.judged.texts import JudgedText, read_texts

__all__ = ["JudgedText", "Labels", "Pairwise", "Rubric", "read_labels", "read_texts"]
