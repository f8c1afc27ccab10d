"""Runs the `evalkit` command inside the test's process."""

import sys
from typing import NamedTuple

import pytest

from evalkit.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """Calls `evalkit ARGS` and captures what it prints."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *args: object) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["evalkit", *map(str, args)])
        self._capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return Outcome(code, *self._capsys.readouterr())
