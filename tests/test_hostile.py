"""What a data set, a model, a task or a user says stays data in every face that shows it."""

import csv
import io
import json
import re
import unicodedata
from xml.etree import ElementTree

import pytest
import yaml

from tests.checkpoints import make_checkpoint

ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\b"
DIRECTIONS = "\u202eevil\u202c\u2066x\u2069\u200f\ufeff\U000e0041"
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;"
MARKDOWN = "| x | [click](javascript:alert(1)) ![i](http://h/i.png) `code` # h @user https://h/x"
FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1"]
PATHS = "../../../evil/../x\x00y"
TEMPLATE = "{{7*7}} {% raw %} ${7*7} %s {0} \\x1b"
LINES = "a\u2028b\u2029c\x85d\x0be"
EVERYTHING = [ESCAPES, DIRECTIONS, HTML, MARKDOWN, *FORMULAS, PATHS, TEMPLATE, LINES, "x" * 400]
TASK = f"{PATHS.replace(chr(0), '')}|{HTML}{DIRECTIONS}{'long' * 60}"
TURNING = {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}
FORMULA = re.compile(r"^\s*[=+\-@|%]")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [make_checkpoint(folder / f"m{seed}", seed=seed) for seed in (0, 1)]


@pytest.fixture
def place(tmp_path):
    return tmp_path / "here" / "store"


@pytest.fixture
def ask(evalkit_command, place):
    def call(*arguments, codes=(0,)):
        done = evalkit_command(*arguments, "--store", place)
        assert done.code in codes, done
        assert "Traceback" not in done.err
        clean(done.out)
        clean(done.err)
        return done.out

    return call


@pytest.fixture
def store(ask, models, tmp_path, place):
    """Two runs over a task in whose every field something hostile stands."""
    rows = [
        {"q": f"{text} Say", "options": [text, "no"], "gold": i % 2, "kind": text}
        for i, text in enumerate(EVERYTHING)
    ]
    (tmp_path / "here").mkdir()
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "task.yaml"
    config = {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "data.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}}",
        "doc_to_target": "gold",
        "doc_to_choice": "options",
        "metric_list": [{"metric": "acc"}],
        "metadata": {"version": FORMULAS[0], "family": HTML, "category": "kind"},
    }
    file.write_text(yaml.safe_dump(config))
    for model, formula in zip(models, FORMULAS, strict=False):
        ask(
            "run", "--model", model, "--tasks", file, "--device", "cpu", "--name",
            f"{formula}{HTML}{ESCAPES}{MARKDOWN}", "--tag", f"note={DIRECTIONS}{HTML}",
        )  # fmt: skip
    return sorted(path.name for path in place.iterdir() if not path.name.startswith("."))


def clean(text):
    """No character in it can steer a terminal or turn what is read."""
    bad = {
        c
        for c in text
        if (c not in "\t\n" and unicodedata.category(c) in ("Cc", "Cs"))
        or unicodedata.bidirectional(c) in TURNING
    }
    assert not bad, (ascii(bad), ascii(text[:3000]))


def cells(row):
    """Cells of a Markdown table row: parted by pipes that are not escaped."""
    return re.split(r"(?<!\\)\|", row.strip())[1:-1]


def check_table(text):
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert tables
    for table in tables:
        assert len({len(cells(row)) for row in table.splitlines()}) == 1, table


def check_page(text):
    """Markdown as a forge renders it: no HTML, no link, no image, no mention comes of it."""
    clean(text)
    check_table(text)
    assert not re.search(r"(?<!\\)<[a-z!/]", text.replace("&lt;", ""), re.IGNORECASE)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)!\[", text)
    assert "@user" not in text
    assert not re.search(r"https?://h", text)


def test_the_console(ask, store):
    first, second = store
    for arguments in (
        ("ls", "runs"),
        ("ls", "scores"),
        ("runs", "list"),
        ("compare", first, second, "--flips", "30"),
        ("diff-manifest", first, second),
        ("runs", "tag", first, f"x={ESCAPES}"),
        ("baseline", "set", first),
        ("baseline", "show"),
        ("baseline", "list"),
    ):
        out = ask(*arguments)
        if "|" in out and arguments[0] != "compare":
            check_table(out)
    ask("gate", second, "--baseline", first, codes=(0, 1, 2, 3))


def test_messages(ask, store):
    for bad in EVERYTHING:
        text = bad.replace("\x00", "")
        for arguments in (
            ("compare", text, "latest"),
            ("runs", "tag", f"x{text}", "a=b"),
            ("run", "--model", f"x{text}", "--tasks", "x"),
            ("run", "--resume", f"x{text}"),
            ("ls", f"x{text}"),
        ):
            ask(*arguments, codes=(0, 2))


def test_csv_holds_no_formula(ask, store):
    rows = list(csv.reader(io.StringIO(ask("runs", "export", "--format", "csv"))))
    assert len(rows) == 3
    for row in rows[1:]:
        for cell in row:
            try:
                float(cell)
            except ValueError:
                assert not FORMULA.match(cell), cell


def test_json_is_whole_and_says_what_was_said(ask, store):
    first, second = store
    found = json.loads(ask("runs", "export", "--format", "json"))
    assert [run["scores"][0]["task"] for run in found] == [TASK, TASK]
    assert json.loads(ask("compare", first, second, "--json"))
    assert json.loads(ask("runs", "list", "--json"))[0]["tasks"][TASK]


def test_markdown(ask, store):
    first, second = store
    check_page(ask("runs", "export", "--format", "markdown"))
    check_page(ask("compare", first, second, "--markdown", "--flips", "30"))


def test_the_gates_reports(ask, store, tmp_path):
    first, second = store
    ask(
        "gate", second, "--baseline", first, "--output", tmp_path / "gate", codes=(0, 1, 3),
    )  # fmt: skip
    assert json.loads((tmp_path / "gate" / "gate.json").read_text())
    check_page((tmp_path / "gate" / "gate.md").read_text())
    tree = ElementTree.fromstring((tmp_path / "gate" / "gate.xml").read_bytes())
    for element in tree.iter():
        for text in (element.text or "", *element.attrib.values()):
            clean(text.replace("\t", " "))


def test_file_names_stay_in_their_folder(ask, store, place, tmp_path):
    ask("runs", "export", "--format", "lm-eval", "--output", tmp_path / "here" / "out")
    ask("import", tmp_path / "here" / "out")
    written = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert len([path for path in written if path.parent.name == "samples"]) >= 4
    for path in written:
        clean(path.name)
        assert len(path.name.encode()) <= 255
        assert path.resolve().is_relative_to(tmp_path / "here")
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"here", "data.jsonl", "task.yaml"}
    assert not (tmp_path.parent / "evil").exists()


def test_an_ascii_terminal_gets_letters_it_lacks_as_numbers(store, place):
    import os
    import subprocess
    import sys

    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", "ls", "scores", "--store", str(place)],
        capture_output=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
