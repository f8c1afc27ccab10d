"""One sample in full: what was asked, what one or two runs answered."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd
import streamlit as st
from parts.table import draw_table
from parts.text import number, visible

from evalkit.results import word_changes

_MARK = "background: rgba(230, 159, 0, 0.35); color: inherit; text-decoration: underline"
NORMALISED = (
    "The answer shown is the choice with the highest log-likelihood; acc_norm divides each by the "
    "length of the choice first, so it may take another."
)
_BLOCK = (
    "font-family: monospace; font-size: 0.875rem; white-space: pre-wrap; overflow-wrap: anywhere; "
    "max-height: 360px; overflow-y: auto; padding: 0.75rem; border-radius: 6px; "
    "background: rgba(128, 140, 150, 0.12)"
)


def draw_sample(a: Mapping[str, Any], b: Mapping[str, Any] | None, names: tuple[str, str]) -> None:
    """Draw a sample of run a and, where b is given, the same document's answers by run b.

    Args:
        a: A row of `evalkit.results.SAMPLES`.
        b: The other run's row, or None.
        names: What to call the two runs.
    """
    st.caption("Prompt")
    text_block(a["prompt"])
    if a["target"]:
        st.caption("Right answer")
        text_block(a["target"])
    answers = [(names[0], a)] if b is None else [(names[0], a), (names[1], b)]
    if _items(a["choices"]):
        _choices(answers)
    _responses(answers)
    with st.expander("Document and hashes"):
        st.text(f"document hash {a['doc_hash']}, prompt hash {a['prompt_hash']}")
        text_block(_pretty(a["doc"]))


def text_block(text: object) -> None:
    """Text as it is, wrapped; what is long scrolls."""
    _block(escape(visible(text)))


def _block(inner: str) -> None:
    """HTML of ours around text that is escaped; `st.code` would bring a highlighter of 0.4 s."""
    st.html(f'<div style="{_BLOCK}" tabindex="0">{inner}</div>')


def _choices(answers: list[tuple[str, Mapping[str, Any]]]) -> None:
    """Each choice with its log-likelihood, the right one and the chosen ones marked."""
    first = answers[0][1]
    table = pd.DataFrame({"choice": list(_items(first["choices"]))})
    right = str(first["target"]).strip()
    table.insert(1, "right", ["✓" if text.strip() == right else "" for text in table["choice"]])
    titles = {"right": "Right", "choice": "Choice"}
    for place, (name, sample) in enumerate(answers):
        logs = _items(sample["loglikelihoods"])
        chosen = str(sample["answer"]).strip()
        column = f"run{place}"
        table[column] = [
            number(log, 2) + (" ◀" if choice.strip() == chosen else "")
            for log, choice in zip(logs, _items(sample["choices"]), strict=False)
        ] + [""] * (len(table) - len(logs))
        titles[column] = name
    if not table["right"].any():
        table = table.drop(columns="right")
    st.caption("Choices with their log-likelihoods in nats; ◀ marks the answer")
    draw_table(table, titles, "Choices with log-likelihoods")


def _responses(answers: list[tuple[str, Mapping[str, Any]]]) -> None:
    """What each run generated and the answer taken from it; of two, the differences are marked."""
    if not any(_items(sample["responses"]) for _, sample in answers):
        return
    for place, number_ in zip(st.columns(len(answers)), range(len(answers)), strict=True):
        name, sample = answers[number_]
        others = answers[1 - number_][1] if len(answers) > 1 else None
        with place:
            st.text(visible(name))
            for i, response in enumerate(_items(sample["responses"])):
                beside = _items(others["responses"])[i : i + 1] if others is not None else []
                _text_beside(response, beside[0] if beside else None)
            st.caption("Answer taken from it")
            _text_beside(sample["answer"], others["answer"] if others is not None else None)
    if len(answers) > 1:
        st.caption("Words that the other run did not say there are marked and underlined.")


def _text_beside(text: object, other: object) -> None:
    """A text as it is; the words that the other text lacks are marked."""
    if not isinstance(text, str) or not isinstance(other, str) or text == other:
        text_block(text)
        return
    pieces = word_changes(text, other)[0]
    # Everything that models wrote is escaped; the only elements are our own.
    inner = "".join(
        f'<mark style="{_MARK}">{escape(visible(piece))}</mark>'
        if changed
        else escape(visible(piece))
        for piece, changed in pieces
    )
    _block(inner)


def _items(value: Any) -> list[Any]:
    """A list cell of a frame as a list; null is empty."""
    return [] if value is None or isinstance(value, float) else list(value)


def _pretty(document: str) -> str:
    try:
        return json.dumps(json.loads(document), indent=2, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(document)
