"""Do the probes find what was planted? Checkpoints with known effects, and figures of them."""

from evalkit.validity.criteria import ProbeVerdict, judge
from evalkit.validity.planted import PLANTED, Planted
from evalkit.validity.report import markdown, plot
from evalkit.validity.study import Cell, StudySettings, cells, figures, measure

__all__ = [
    "PLANTED",
    "Cell",
    "Planted",
    "ProbeVerdict",
    "StudySettings",
    "cells",
    "figures",
    "judge",
    "markdown",
    "measure",
    "plot",
]
