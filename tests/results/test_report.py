"""`evalkit report`: the store's figures on one page, whatever text is in them."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from evalkit.results import compare
from evalkit.results.report import make_report
from evalkit.results.report_page import report_html, report_markdown
from evalkit.results.svg import Mark, interval_svg
from evalkit.results.text import difference_cells, number, safe
from tests.dashboard.content import enrich
from tests.results.test_safety import put_in_family
from tests.results.test_speed import time_requests
from tests.stores import HOSTILE, make_store

EARLY, LATE = "20260101-000000-early", "20260102-000000-late"


class Page(HTMLParser):
    """Elements and table cells of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.cells, self._in = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        self._in = tag == "td"
        if self._in:
            self.cells.append("")

    def handle_endtag(self, tag):
        self._in = self._in and tag != "td"

    def handle_data(self, data):
        if self._in:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = enrich(make_store(tmp_path_factory.mktemp("store"), n=40))
    time_requests(store, LATE)
    return put_in_family(store, {"facts": "factuality"})


@pytest.fixture(scope="module")
def report(store):
    return make_report(store, ["early", "late"])


def test_every_part_is_there(report):
    assert [section.title for section in report.sections] == [
        "Runs",
        "Scores",
        "late against early",
        "Samples that changed from early to late",
        "What differs between early and late",
        "Safety of late, the worst category first",
        "Latency",
    ]


def test_the_figures_are_those_of_the_store(store, report):
    html, markdown = Page(report_html(report)), report_markdown(report)
    for run in (EARLY, LATE):
        for metric in ("acc_norm", "exact_match", "bleu", "word_perplexity"):
            for value in store.scores([run], metric=metric)["value"]:
                assert any(cell.startswith(number(value)) for cell in html.cells)
                assert f"| {number(value)}" in markdown
    for row in compare(EARLY, LATE, store).differences:
        cells = [cell.replace("\u2009", " ") for cell in difference_cells(row)]
        place = next(
            i for i in range(len(html.cells)) if html.cells[i : i + 3] == cells[:3]
        )  # fmt: skip
        assert html.cells[place : place + len(cells)] == cells


def test_pictures_are_drawn_to_scale():
    marks = [Mark("a", 0.2, 0.1, 0.3, "worse"), Mark("b", 0.6, 0.5, 0.7, "best"), Mark("c", 0.4)]
    picture = ElementTree.fromstring(interval_svg(marks, "title", zero=True))
    whiskers = [
        [float(number) for number in re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", path.get("d"))[0]]
        for path in picture.iter("path")
        if "H" in path.get("d") and path.get("class") is None
    ]
    (a, b), (c, d) = whiskers
    assert (d - c) == pytest.approx(b - a, abs=0.2)
    assert (c - a) == pytest.approx(2 * (b - a), abs=0.3)
    assert picture.get("aria-label") == "title"
    assert next(title.text for title in picture.iter("title")) == "a: 0.2 [0.1, 0.3]"


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [1e-12, 2e-12], [-1e9, 1e9]])
def test_any_values_can_be_drawn(values):
    picture = interval_svg([Mark("x", value) for value in values], "t")
    assert len(list(ElementTree.fromstring(picture).iter("circle"))) == len(values)
    assert len(re.findall('class="grid"', picture)) >= 2


def test_one_run_alone(store):
    report = make_report(store, ["late"])
    assert "Scores" in [section.title for section in report.sections]
    assert not [section for section in report.sections if "against" in section.title]


def test_runs_that_cannot_be_compared_are_a_sentence(store, tmp_path):
    apart = make_store(tmp_path, runs=("a", "b"), tasks=["facts"], n=8)
    for run, task in (("a", "facts"), ("b", "answers")):
        found = apart.resolve(run)
        record = found.tasks["facts"]
        apart.write_manifest(found.model_copy(update={"tasks": {task: record}}))
    report = make_report(apart, ["a", "b"])
    section = next(part for part in report.sections if part.title == "Comparison")
    assert "no task in common" in section.text[0]


def test_one_run_that_cannot_be_compared_hides_no_other(tmp_path):
    store = make_store(tmp_path, runs=("a", "b", "c"), tasks=["facts"], n=40)
    found = store.resolve("b")
    store.write_manifest(found.model_copy(update={"tasks": {"other": found.tasks["facts"]}}))
    titles = [part.title for part in make_report(store, ["a", "b", "c"]).sections]
    assert "Comparison" in titles
    assert "c against a" in titles
    assert "b against a" not in titles


def test_hostile_text_stays_text(tmp_path):
    store = enrich(make_store(tmp_path, n=12, hostile=True), HOSTILE[0])
    for run in store.listing().runs:
        named = f"{HOSTILE[0]}{HOSTILE[3]}{run.name}"
        store.write_manifest(run.model_copy(update={"name": named}))
    report = make_report(store, [EARLY, LATE])
    html, markdown = report_html(report), report_markdown(report)
    page = Page(html)
    known = {"html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "p"}
    known |= {"figure", "figcaption", "svg", "path", "text", "circle", "g", "div", "table"}
    assert set(page.elements) <= known | {"thead", "tbody", "tr", "th", "td"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "href"]
    assert not [value for name, value in page.attributes if name == "src"]
    assert "default-src 'none'" in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", html + markdown)
    assert "<script" not in markdown
    assert safe(HOSTILE[0]) in markdown


def test_the_command(evalkit_command, store, tmp_path):
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    found = evalkit_command(
        "report", "early", "late", "--store", store.url, "--html", html, "--markdown", markdown
    )
    assert found.code == 0
    assert html.read_text().startswith("<!doctype html>")
    assert markdown.read_text().startswith("# evalkit: early, late\n")
    pictures = re.findall(r"!\[[^]]*\]\(<(r-pictures/\d+\.svg)>\)", markdown.read_text())
    assert len(pictures) == html.read_text().count("<svg ") > 0
    for picture in pictures:
        assert ElementTree.parse(tmp_path / picture).getroot().tag.endswith("}svg")
    printed = evalkit_command("report", "late", "--store", store.url, "--markdown", "-")
    assert printed.out.startswith("# evalkit: late")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["late"], "--html FILE, --markdown FILE"),
        (["late", "--html", "{tmp}"], "is a folder"),
        (["late", "--html", "{tmp}/none/x.html"], "there is no folder"),
        (["late", "late", "--markdown", "-"], "named twice"),
        (["nobody", "--markdown", "-"], "names no run"),
    ],
)
def test_wrong_use_is_one_sentence(evalkit_command, store, tmp_path, words, said):
    words = [word.format(tmp=tmp_path) for word in words]
    found = evalkit_command("report", *words, "--store", store.url)
    assert found.code == 2
    assert said in found.err
    assert found.err.count("\n") == 1


def test_damaged_scores_are_one_sentence(evalkit_command, tmp_path):
    store = make_store(tmp_path, tasks=["facts"], n=8)
    (tmp_path / LATE / "scores.parquet").write_bytes(b"PAR1")
    found = evalkit_command("report", "late", "--store", store.url, "--markdown", "-")
    assert found.code != 0
    assert "cannot be read as Parquet" in found.err
    assert found.err.count("\n") == 1
