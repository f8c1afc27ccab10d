"""Toxicity detectors: Detoxify's own class, fed with weights that nobody had to unpickle."""

from evalkit.probes.detector.convert import convert_detector
from evalkit.probes.detector.folder import DetectorFolder, open_detector, write_detector
from evalkit.probes.detector.released import find_detector
from evalkit.probes.detector.scores import score_texts

__all__ = [
    "DetectorFolder",
    "convert_detector",
    "find_detector",
    "open_detector",
    "score_texts",
    "write_detector",
]
