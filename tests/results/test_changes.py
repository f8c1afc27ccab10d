"""Where two texts differ."""

from hypothesis import given
from hypothesis import strategies as st

from evalkit.results import word_changes


def test_words_that_differ_are_told():
    a, b = word_changes("The baker lives in Arden.", "The baker lives in Corvo now.")
    assert a == [("The baker lives in ", False), ("Arden", True), (".", False)]
    assert b == [("The baker lives in ", False), ("Corvo now", True), (".", False)]


def test_white_space_alone_is_no_change():
    a, b = word_changes("one  two\n", "one two")
    assert not any(changed for _, changed in a + b)


def test_very_long_texts_are_not_looked_into():
    long = "word " * 5000
    assert word_changes(long, "other") == ([(long, False)], [("other", False)])


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_pieces_are_the_texts(a, b):
    left, right = word_changes(a, b)
    assert "".join(text for text, _ in left) == a
    assert "".join(text for text, _ in right) == b
    unchanged = [[w for t, c in side if not c for w in t.split()] for side in (left, right)]
    assert unchanged[0] == unchanged[1]
