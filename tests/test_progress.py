"""What long work says of itself on stderr."""

import io
import sys

import pytest

from evalkit import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def at_once(monkeypatch):
    """Nothing is waited for: every step is worth showing."""
    monkeypatch.setattr(progress, "WANTED_AFTER_S", 0)
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)


def shown(monkeypatch, stream, total=3, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.progress_bar(total, "Responding", "request", **options) as bar:
        for _ in range(3):
            bar.update()
    return stream.getvalue()


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch, at_once):
    text = shown(monkeypatch, Terminal())
    assert "\rResponding:" in text
    assert text.endswith("\r") and "\n" not in text


def test_a_log_gets_lines_without_control_characters(monkeypatch, at_once):
    lines = shown(monkeypatch, io.StringIO()).split("\n")
    assert [line.split(":")[0] for line in lines if line] == ["Responding"] * len(lines[:-1])
    assert "3/3" in lines[-2] and not any("\r" in line for line in lines)


def test_short_work_leaves_a_log_empty(monkeypatch):
    assert shown(monkeypatch, io.StringIO()) == ""


def test_nobody_asked(monkeypatch, at_once):
    assert shown(monkeypatch, Terminal(), show=False) == ""
