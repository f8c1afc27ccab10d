"""Links from page to page that carry what was chosen."""

import streamlit as st


def link(text: str, page: str, **chosen: str | int) -> None:
    """A link to a page of `views` with these values in its URL."""
    st.page_link(
        f"views/{page}.py",
        label=text,
        icon=":material/arrow_forward:",
        query_params={key: str(value) for key, value in chosen.items()},
    )
