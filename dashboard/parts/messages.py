"""Sentences to the reader. What comes from data stands in plain text, never in Markdown."""

from collections.abc import Sequence

import streamlit as st
from parts.text import visible

FEW = 3
UNREADABLE = "Some runs of this store cannot be read and are left out."


def say(headline: str, detail: str = "") -> None:
    """Show a fixed headline and, below it, a sentence that may quote data."""
    st.info(headline, icon=":material/info:")
    if detail:
        st.text(visible(detail))


def warn_of(problems: Sequence[str], headline: str = UNREADABLE) -> None:
    """Tell that parts of the store could not be read, and which; many of them behind a click."""
    if not problems:
        return
    st.warning(headline)
    with st.expander("What is wrong with them") if len(problems) > FEW else st.container():
        st.text(visible("\n".join(problems)))
