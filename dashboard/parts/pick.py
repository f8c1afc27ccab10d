"""Choices that live in the URL under their own identity, so that a link stays true.

Streamlit's own binding writes what an option is called; a run's name may be given again, its id
not. A choice is written when it differs from the address, never else: each writing is a step of the
browser's history, and one that repeats itself traps its Back.
"""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st
from parts.text import visible


def pick(
    label: str,
    options: Sequence[str],
    key: str,
    default: str,
    name: Callable[[str], str] = visible,
) -> str:
    """A select box over option ids; the URL holds the chosen one under `key`."""
    asked = st.query_params.get(key, default)
    seen = f"url:{key}"
    current = st.session_state.get(key)
    if asked != st.session_state.get(seen) or current not in options:
        current = asked if asked in options else default
    # Said each time: another page's box of this key was another widget, whose state is gone.
    st.session_state[key] = current
    chosen = str(st.selectbox(label, options, key=key, format_func=name))
    if chosen != asked and not chosen:
        st.query_params.pop(key, None)
    elif chosen != asked:
        st.query_params[key] = chosen
    st.session_state[seen] = chosen
    return chosen


def pick_run(label: str, runs: pd.DataFrame, key: str, default: str, none: str = "") -> str:
    """A run's id, shown by the run's label; "" for no run where `none` names that choice."""
    labels = dict(zip(runs["run_id"], runs["label"], strict=True))
    options = [*([""] if none else []), *labels]
    return pick(label, options, key, default, lambda run: visible(labels.get(run, none)))
