"""Links from page to page that carry what was chosen."""

import streamlit as st


def remember(pages: dict[str, object]) -> None:
    """Keep the pages of the app, by name, for the links of this session."""
    st.session_state["pages"] = pages


def link(text: str, page: str, **chosen: str | int) -> None:
    """A link to a page with these values in its URL."""
    st.page_link(
        st.session_state["pages"][page],
        label=text,
        icon=":material/arrow_forward:",
        query_params={key: str(value) for key, value in chosen.items()},
    )
