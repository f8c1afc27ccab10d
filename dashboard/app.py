"""The dashboard, started by `evalkit dashboard`; a new page is a file and its line in `PAGES`."""

from pathlib import Path

import streamlit as st
from parts import data
from parts.guard import admit
from parts.links import remember
from parts.messages import say
from parts.text import label
from views import compare, leaderboard, samples, tasks

from evalkit.errors import EvalkitError

PAGES = {
    "leaderboard": st.Page(leaderboard.page, title="Leaderboard", default=True),
    "compare": st.Page(compare.page, title="Compare", url_path="compare"),
    "samples": st.Page(samples.page, title="Samples", url_path="samples"),
    "tasks": st.Page(tasks.page, title="Tasks", url_path="tasks"),
}

st.set_page_config("evalkit", str(Path(__file__).parent / "icon.svg"), layout="wide")
admit()
remember(PAGES)
chosen = st.navigation(list(PAGES.values()), position="top")
try:
    chosen.run()
except EvalkitError as error:
    say("This page cannot be shown.", str(error))
st.caption(f"Store: {label(data.store().url)}")
