"""Colours that colour-blind readers tell apart, of the theme in force, and shapes beside them."""

import streamlit as st

_LIGHT = {
    "best": "#0072B2",
    "tied": "#56B4E9",
    "other": "#8A939E",
    "worse": "#D55E00",
    "text": "#4a5563",
}
_DARK = {
    "best": "#56B4E9",
    "tied": "#9AD1F2",
    "other": "#7C8794",
    "worse": "#E69F00",
    "text": "#b6c0cb",
}
# Okabe and Ito (2008), without the yellow that is pale on white.
_LINES_LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_LINES_DARK = ["#56B4E9", "#E69F00", "#2EC49A", "#E4A3C8", "#F0E442", "#D98452"]

ROUND = "border-radius: 50%"
DIAMOND = "clip-path: polygon(50% 0, 100% 50%, 50% 100%, 0 50%)"
RIGHT = "clip-path: polygon(0 0, 100% 50%, 0 100%)"
LEFT = "clip-path: polygon(100% 0, 0 50%, 100% 100%)"
UP = "clip-path: polygon(50% 0, 100% 100%, 0 100%)"
DOWN = "clip-path: polygon(0 0, 100% 0, 50% 100%)"
SQUARE = "border-radius: 0"
SHAPES = (ROUND, SQUARE, UP, DIAMOND, RIGHT, DOWN)
"""Of several curves, in their order."""


def palette() -> dict[str, str]:
    """Colours of the theme in force."""
    return _DARK if _is_dark() else _LIGHT


def lines() -> list[str]:
    """Colours of several curves, in the theme in force."""
    return _LINES_DARK if _is_dark() else _LINES_LIGHT


def _is_dark() -> bool:
    return bool(st.context.theme.type == "dark")
