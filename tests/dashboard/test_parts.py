"""What the pages share: foreign text made safe, tables as files."""

import csv
import io

import pandas as pd
import pytest

from evalkit.paths import bundled
from tests.stores import HOSTILE


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.syspath_prepend(str(bundled("dashboard")))
    from parts import export, text

    return {"export": export, "text": text}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("two\r\nlines", "two\nlines"),
        ("\x1b[31m", "⟨U+001B⟩[31m"),
        ("a\u202eb\u2066c\x00", "a⟨U+202E⟩b⟨U+2066⟩c⟨U+0000⟩"),
        ("Ünïcode 中文 🙂 ع", "Ünïcode 中文 🙂 ع"),
        (None, ""),
    ],
)
def test_visible(parts, given, shown):
    assert parts["text"].visible(given) == shown


def test_a_label_has_every_sign_of_markdown_escaped(parts):
    assert parts["text"].label("![a](b) :red[c] $x$") == r"\!\[a\]\(b\) \:red\[c\] \$x\$"
    assert parts["text"].label("language modelling") == "language modelling"


def test_numbers(parts):
    text = parts["text"]
    assert text.number(0.12345) == "0.123"
    assert text.number(None) == text.number(float("nan")) == "–"
    assert [text.digits_for(x) for x in (0, 0.5, 9.9, 70.7, 4000.0)] == [3, 3, 3, 2, 0]
    assert text.number(0.00157, text.digits_for(0.0016)) == "0.00157"


def test_a_spreadsheet_takes_no_cell_for_a_formula(parts):
    frame = pd.DataFrame({"run": ["=1+1", "@x", 'a,b\n"c"', "-5"], "value": [-0.5, 0.1, 0.2, 0.3]})
    rows = list(csv.DictReader(io.StringIO(parts["export"].as_csv(frame))))
    assert [row["run"] for row in rows] == ["'=1+1", "'@x", 'a,b\n"c"', "'-5"]
    assert float(rows[0]["value"]) == -0.5


def test_a_markdown_table_keeps_its_cells(parts):
    frame = pd.DataFrame({"a | b": HOSTILE, "n": range(len(HOSTILE))})
    lines = parts["export"].as_markdown(frame).splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    for line in lines:
        assert line.replace("\\|", "").count("|") == 3
    assert "<script>" not in "".join(lines).replace("\\<", "")


def test_a_latex_table_shows_its_cells_and_obeys_none(parts):
    nasty = [*HOSTILE, r"\input{/etc/passwd} 50% & ^~"]
    frame = pd.DataFrame({"run_1": nasty, "x ↑": "0.5 (0–1) ●"})
    lines = parts["export"].as_latex(frame).splitlines()
    body = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    assert lines[1] == "\\begin{tabular}{lr}"
    assert lines[3] == r"run\_1 & x $\uparrow$ \\"
    assert len(body) == len(frame)
    assert body[-1] == (
        r"\textbackslash{}input\{/etc/passwd\} 50\% \& \textasciicircum{}\textasciitilde{}"
        r" & 0.5 (0--1) $\bullet$ \\"
    )
    assert all(line.count(" & ") == 1 for line in body)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(0.1, 0.25, " (0.10–0.25)"), (-0.5, 0.5, " (-0.50 to 0.50)"), (float("nan"), 1.0, "")],
)
def test_a_dash_never_stands_before_a_minus(parts, low, high, shown):
    assert parts["text"].interval(low, high, 2) == shown
