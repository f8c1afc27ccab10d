"""Lets in whoever knows the token, where the dashboard was started with one."""

import hmac
import os

import streamlit as st

TOKEN = "EVALKIT_DASHBOARD_TOKEN"  # noqa: S105 - a variable's name


def admit() -> None:
    """Stop the script here until the session has given the token; without a token, do nothing.

    The token is compared in constant time and stays out of the URL, so that a link can be shared.
    """
    expected = os.environ.get(TOKEN, "")
    if not expected or st.session_state.get("admitted") == expected:
        return
    with st.form("token"):
        given = st.text_input(
            "Token", type="password", help="It was printed where the dashboard started."
        )
        sent = st.form_submit_button("Open")
    if sent and hmac.compare_digest(given.encode(), expected.encode()):
        st.session_state["admitted"] = expected
        st.rerun()
    if sent:
        st.error("That is not the token.")
    st.stop()
