"""Whatever a model wrote is shown by Markdown and never interpreted."""

import html
import re

import pytest

from evalkit.results import compare, flips
from evalkit.results.text import comparison_markdown, cut, number, p_value, safe
from tests.stores import HOSTILE, make_store


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_neutralised(text: str) -> None:
    shown = safe(text)
    assert "\n" not in shown
    assert not re.search(r"[\x00-\x1f\x7f\u202a-\u202e]", shown)
    assert not re.search(r"(?<!\\)[|`*_\[\]<$!~]", shown)
    assert not re.search(r"https?://", shown)


@pytest.mark.parametrize("text", ["acc_norm", "a | b", r"back\slash", "<b>", "x & y", "[0.1, 0.2]"])
def test_markdown_shows_the_text_itself(text: str) -> None:
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", html.unescape(safe(text))) == text


def test_nobody_is_mentioned_and_no_page_linked() -> None:
    assert not re.search(r"[@#]\w|://|www\.", safe("@team see #12 at http://x.org or www.x.org"))


def test_long_texts_are_cut() -> None:
    assert len(cut("word " * 100)) == 160


def test_small_numbers_keep_their_digits_and_zero_has_no_sign() -> None:
    assert [number(x) for x in (0.5, 0.00163, 1.5e-5, -0.0, 12345.6)] == [
        *("0.5000", "0.00163", "1.5e-05", "0.0000", "12345.6")
    ]
    assert (number(0.25, sign=True), number(-0.25, sign=True), number(None)) == (
        "+0.2500",
        "-0.2500",
        "",
    )


def test_a_p_value_is_never_shown_as_zero() -> None:
    assert (p_value(1e-30), p_value(0.0123), p_value(None)) == ("<0.0001", "0.0123", "")


def test_every_row_of_a_page_has_the_cells_of_its_head() -> None:
    store = make_store("memory://hostile-page", tasks=["facts", "stories"], n=30, hostile=True)
    comparison = compare("early", "late", store)
    page = comparison_markdown(comparison, flips(comparison))
    tables = [block for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for block in tables:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().split("\n")}
        assert len(cells) == 1
