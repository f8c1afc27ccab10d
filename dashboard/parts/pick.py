"""Choices that live in the URL under their own identity, so that a link stays true.

Streamlit's own binding writes what an option is called; a run's name may be given again, its id
not.
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
    """A select box over option ids; the URL holds the chosen one under `key`, save the default."""
    asked = st.query_params.get(key, default)
    seen = f"url:{key}"
    if asked != st.session_state.get(seen) or st.session_state.get(key) not in options:
        st.session_state[key] = asked if asked in options else default
    chosen = str(st.selectbox(label, options, key=key, format_func=name))
    if chosen == default:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = chosen
    st.session_state[seen] = chosen
    return chosen


def pick_run(label: str, runs: pd.DataFrame, key: str, default: str, none: str = "") -> str:
    """A run's id, shown by the run's label; "" for no run where `none` names that choice."""
    labels = dict(zip(runs["run_id"], runs["label"], strict=True))
    options = [*([""] if none else []), *labels]
    return pick(label, options, key, default, lambda run: visible(labels.get(run, none)))
