"""The dashboard, started by `evalkit dashboard`; a new page is a file and its line in `PAGES`."""

from pathlib import Path

import streamlit as st
from parts import data
from parts.guard import admit
from parts.messages import say
from parts.text import label

from evalkit.errors import EvalkitError

PAGES = [
    st.Page("views/leaderboard.py", title="Leaderboard", default=True),
    st.Page("views/compare.py", title="Compare"),
    st.Page("views/samples.py", title="Samples"),
    st.Page("views/training.py", title="Training"),
    st.Page("views/safety.py", title="Safety"),
    st.Page("views/speed.py", title="Speed"),
    st.Page("views/gate.py", title="Gate"),
    st.Page("views/arena.py", title="Arena"),
    st.Page("views/tasks.py", title="Tasks"),
]

st.set_page_config(page_icon=str(Path(__file__).parent / "icon.svg"), layout="wide")
chosen = st.navigation(PAGES, position="top")
admit()  # after the navigation, which would otherwise forget the page that the link names
try:
    data.look()
    chosen.run()
except EvalkitError as error:
    say("This page cannot be shown.", str(error))
st.caption(f"Store: {label(data.store().url)}")
