"""Compare: is run B better than run A."""

import streamlit as st


def page() -> None:
    """Draw the page."""
    st.title("Compare")


page()
