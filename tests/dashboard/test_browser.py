"""The dashboard in a real browser, served by its own command."""

import re
from urllib.parse import quote

import pytest

from evalkit.results import read_votes
from tests.dashboard.browser import browsing, chromium, served, settled
from tests.stores import HOSTILE, make_store

pytestmark = pytest.mark.skipif(chromium() is None, reason="Chromium is not installed")
NASTY = quote(HOSTILE[0])
EARLY, LATE = "20260101-000000-early", "20260102-000000-late"
PAGES = ["Leaderboard", "Compare", "Samples", "Training", "Safety"]
PAGES += ["Speed", "Gate", "Arena", "Tasks"]


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(store):
    with served(store.url) as url:
        yield url


@pytest.fixture(scope="module")
def hostile_url(hostile):
    with served(hostile.url) as url:
        yield url


@pytest.fixture
def page(browser):
    """A page in an empty profile, with what it asked for and what it said."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.asked, page.dialogs = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()


def test_the_arena_is_answered_by_key(page, browser, tmp_path):
    store = make_store(tmp_path, tasks=["answers"], n=20)
    with served(store.url) as url:
        page.goto(f"{url}/arena?task=answers&rater=ann")
        settled(page)
        for number, key in enumerate(("a", "x"), start=1):
            page.locator("h1").click()
            page.keyboard.press(key)
            page.wait_for_selector(f"text={number} judged by you")
            settled(page)
        page.reload()
        settled(page)
        assert page.get_by_text("2 judged by you").count() == 1
        assert no_boxes(page)
    rows = read_votes(store).rows
    assert list(rows["verdict"] == "both bad") == [False, True]
    assert rows["verdict"][0] == rows["left"][0]


def no_boxes(page):
    """No exception and no error stands on the page."""
    return page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count() == 0


def test_every_page_is_reached_by_a_click_at_both_widths(page, url):
    page.goto(url)
    settled(page)
    for name in [*PAGES[1:], PAGES[0]]:
        page.get_by_role("link", name=name, exact=True).first.click()
        page.wait_for_selector(f"h1:has-text('{name}')")
        settled(page)
        assert no_boxes(page)
        assert page.title() == name
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(300)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
        page.set_viewport_size({"width": 1280, "height": 900})
    assert asked_elsewhere(page, url) == []


def asked_elsewhere(page, url):
    """Addresses beyond the dashboard's own that the page asked for."""
    assert page.asked
    return [asked for asked in page.asked if not asked.startswith((url, "data:", "blob:"))]


def test_the_figures_are_those_of_the_store(page, url, store):
    page.goto(url)
    settled(page)
    shown = page.locator("tbody td").all_inner_texts()
    scores = store.scores().query("task == 'answers'").set_index("run_id")
    for run in (EARLY, LATE):
        score = scores.loc[run]
        text = f"{score['value']:.3f} ({score['ci_low']:.3f}–{score['ci_high']:.3f})"
        assert any(cell.startswith(text) for cell in shown), (text, shown)


def test_two_ticked_runs_are_compared_and_the_link_names_them(page, url):
    page.goto(url)
    settled(page)
    for name in ("early", "late"):
        page.get_by_role("checkbox", name=f"Tick {name}").check()
        settled(page)
    page.get_by_role("link", name=re.compile("Compare the two")).click()
    page.wait_for_selector("h1:has-text('Compare')")
    settled(page)
    assert no_boxes(page)
    for label, name in (("Run A, the baseline", "early"), ("Run B, the candidate", "late")):
        assert page.get_by_role("combobox", name=label).input_value() == name


def test_a_heading_sorts_by_key_and_keeps_the_focus_and_the_ticks(page, url):
    page.goto(url)
    settled(page)
    page.get_by_role("checkbox", name="Tick early").check()
    settled(page)
    heading = page.get_by_role("button", name="stories · word_perplexity ↓")
    column = page.get_by_role("columnheader", name="stories · word_perplexity ↓")
    heading.focus()
    for order, runs in (("ascending", ["late", "early"]), ("descending", ["early", "late"])):
        page.keyboard.press("Enter")
        settled(page)
        assert column.get_attribute("aria-sort") == order
        assert page.get_by_role("rowheader").all_inner_texts() == runs
    assert "sort=-stories" in page.url
    assert heading.evaluate("button => button === button.getRootNode().activeElement")
    assert page.get_by_role("checkbox", name="Tick early").is_checked()
    page.goto(page.url)
    settled(page)
    assert page.get_by_role("rowheader").all_inner_texts() == ["early", "late"]


def test_a_table_is_sorted_by_key_and_comes_back(page, url):
    """Numbers by their value, what has none last; the third press restores the order."""
    page.goto(f"{url}/compare?a={EARLY}&b={LATE}")
    settled(page)
    table = page.get_by_role("table", name="Differences of two runs")
    figures = table.get_by_role("rowheader").all_inner_texts()
    wins = [float(text) for text in table.locator("tbody tr td:nth-child(6)").all_inner_texts()]
    button = table.get_by_role("button", name="B wins")
    button.focus()
    for direction in (1, -1):
        page.keyboard.press("Enter")
        found = table.locator("tbody tr td:nth-child(6)").all_inner_texts()
        assert list(map(float, found)) == sorted(wins, reverse=direction == -1)
    assert sorted(wins) not in (wins, wins[::-1])
    page.keyboard.press("Enter")
    assert table.get_by_role("rowheader").all_inner_texts() == figures


def test_a_verdict_is_chosen_by_a_click_anywhere_in_its_row(page, url):
    page.goto(f"{url}/gate")
    settled(page)
    table = page.get_by_role("table", name="Verdicts, newest first")
    boxes = table.get_by_role("radio")
    assert boxes.nth(0).is_checked()
    table.locator("tbody tr").nth(2).locator("td").last.click()
    page.wait_for_selector("h2:has-text('01 Mar 2026'), h3:has-text('01 Mar 2026')")
    assert "at=20260301" in page.url
    page.goto(page.url)
    settled(page)
    assert boxes.nth(2).is_checked()
    assert not boxes.nth(0).is_checked()


def test_ticks_outlive_a_search(page, url):
    page.goto(url)
    settled(page)
    page.get_by_role("checkbox", name="Tick early").check()
    settled(page)
    page.get_by_role("textbox", name="Search").fill("late")
    page.keyboard.press("Enter")
    settled(page)
    assert page.get_by_role("rowheader").all_inner_texts() == ["late"]
    page.get_by_role("checkbox", name="Tick late").check()
    settled(page)
    assert page.get_by_role("link", name=re.compile("Compare the two runs: late, early")).count()


def test_a_link_from_page_to_page_keeps_what_it_names_and_back_leads_back(page, url):
    page.goto(f"{url}/compare?a={LATE}&b={EARLY}")
    settled(page)
    page.get_by_role("link", name=re.compile("Read them side by side")).click()
    page.wait_for_selector("h1:has-text('Samples')")
    settled(page)
    for label, name in (("Run", "late"), ("Beside run", "early"), ("Order", "largest change")):
        assert page.get_by_role("combobox", name=label, exact=True).input_value() == name
    assert f"a={LATE}&b={EARLY}" in page.url
    page.go_back()
    page.wait_for_selector("h1:has-text('Compare')")
    settled(page)
    assert page.get_by_role("combobox", name="Run A, the baseline").input_value() == "late"
    page.goto(f"{url}/tasks?task=stories")
    settled(page)
    page.get_by_role("link", name=re.compile("Read all samples")).click()
    page.wait_for_selector("h1:has-text('Samples')")
    settled(page)
    assert page.get_by_role("combobox", name="Task", exact=True).input_value() == "stories"


def test_a_clicked_sample_is_shown_and_named_in_the_link(page, url):
    page.goto(f"{url}/samples?a={EARLY}&task=facts")
    settled(page)
    page.get_by_role("radio", name="Tick 3", exact=True).check()
    page.wait_for_selector("h2:has-text('Sample 3'), h3:has-text('Sample 3')")
    assert "doc=3" in page.url
    assert f"a={EARLY}" in page.url
    assert "task=facts" in page.url
    page.goto(page.url)
    settled(page)
    assert page.get_by_text("Sample 3", exact=True).count() == 1


@pytest.mark.parametrize(
    "path",
    ["/compare", "/tasks?task=answers", "/training", "/gate", f"/arena?task=answers&rater={NASTY}"],
)
def test_a_hostile_store_stays_text(page, hostile_url, path):
    page.goto(hostile_url + path)
    settled(page)
    harmless(page, hostile_url)


def test_hostile_names_stay_text_in_every_control(page, hostile_url):
    page.goto(hostile_url)
    settled(page)
    for control, shown in (("Suite", "<script>alert('x')</script>"), ("Tags", "![image](http:")):
        page.get_by_role("button", name="Filter").click()
        page.get_by_role("combobox", name=control).click()
        page.wait_for_selector("[role=option]")
        assert any(shown in text for text in page.locator("[role=option]").all_inner_texts())
        page.reload()
        settled(page)
    harmless(page, hostile_url)


@pytest.mark.parametrize(
    ("doc", "shown"),
    [
        (0, "<script>alert('x')</script>"),
        (1, "![image](http://127.0.0.1/x) [link](javascript:alert(1)) **bold**"),
        (3, "$x^2$ :material/delete: ]]> &amp; <!-- --> ⟨U+202E⟩txet"),
    ],
)
def test_a_hostile_sample_stays_text(page, hostile_url, doc, shown):
    page.goto(f"{hostile_url}/samples?a={EARLY}&b={LATE}&task=answers&doc={doc}")
    settled(page)
    page.get_by_text("Document and hashes").click()
    harmless(page, hostile_url)
    assert shown in page.locator("[data-testid=stMain]").inner_text()


def harmless(page, url):
    """No script ran, nothing of the data became an element, nothing else was asked for."""
    assert page.dialogs == []
    assert no_boxes(page)
    assert asked_elsewhere(page, url) == []
    found = page.locator("img[src*='127.0.0.1/x'], a[href^='javascript:'], .katex, main script")
    assert found.count() == 0


def test_another_name_for_this_machine_is_refused(url):
    """A web page elsewhere whose name was made to point here cannot open the data channel."""
    import http.client
    from urllib.parse import urlsplit

    port = urlsplit(url).port
    codes = {}
    for host in ("127.0.0.1", "evil.example"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(
            "GET",
            "/_stcore/stream",
            headers={
                "Host": f"{host}:{port}",
                "Origin": f"http://{host}:{port}",
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        )
        codes[host] = connection.getresponse().status
        connection.close()
    assert codes == {"127.0.0.1": 101, "evil.example": 403}
