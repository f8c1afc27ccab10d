"""How quick the dashboard is on a large store: makes one, opens every page, writes a report.

    python -m benchmarks.dashboard [--folder PATH] [--runs 2000]

A store of 2,000 runs and 200,000 scores is served by `evalkit dashboard` and opened in a headless
Chromium whose profile is empty at first. A page counts as drawn when its title, its tables and its
charts stand and its script has ended. It writes reports/dashboard.md, and fails where a limit is
passed.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.dashboard_store import make_store, run_id_of
from evalkit.cli.dashboard import server_command
from evalkit.results import Store, overview
from tests.dashboard.browser import browsing, chromium, kept_browser, serving, started
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
REPEATS = 5
TABS = 2
PLAIN_APP = """import streamlit
streamlit.title("Plain")
"""
VIEWPORT = {"width": 1280, "height": 900}
FIRST_LIMIT, PAGE_LIMIT = 2.0, 3.0
DRAWN = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  return app?.dataset.testScriptState === 'notRunning' && document.querySelector('h1')
    && !document.querySelector('[data-testid=stSkeleton]')
    && [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')].every(
      table => table.shadowRoot?.querySelector('tbody tr'))
    && document.querySelectorAll('[data-testid=stHtml] [role=img]').length >= CHARTS
    && [...document.querySelectorAll('[data-testid=stHtml] img')].every(
      lines => lines.complete && lines.naturalWidth)
}"""
CHARTED = {
    "Leaderboard": 3,
    "Compare": 1,
    "Training": 9,
    "Safety": 1,
    "Speed": 2,
    "Gate": 4,
}
"""Page -> charts it has on this store, at least."""


def pages(runs: int) -> dict[str, str]:
    """Every page, by the name it has in the report, and its address."""
    pair = f"a={run_id_of(runs - 2)}&b={run_id_of(runs - 1)}"
    return {
        "Leaderboard": "/",
        "Leaderboard, by suites": "/?by=suites",
        "Leaderboard, searched": "/?find=model-07",
        "Compare": f"/compare?{pair}",
        "Samples": f"/samples?{pair}&task=choice_03",
        "Samples, searched": f"/samples?{pair}&task=answer_00&text=Question+99",
        "Training": "/training",
        "Safety": f"/safety?{pair}",
        "Speed": "/speed",
        "Gate": "/gate",
        "Arena": f"/arena?{pair}&rater=ann&task=answer_00",
        "Tasks": "/tasks",
    }


def drawn(name: str) -> str:
    """What is true in the browser when a page is drawn."""
    return DRAWN.replace("CHARTS", str(CHARTED.get(name.partition(",")[0], 0)))


def measure(browser: Any, address: str, name: str = "") -> float:
    """Seconds from asking for a page in a new tab to its being drawn.

    Args:
        browser: A browser, whose new tab has an empty cache, or a context, whose tabs share one.
        address: Of the page.
        name: The page's.
    """
    page = browser.new_page(viewport=VIEWPORT) if hasattr(browser, "contexts") else None
    page = page or browser.new_page()
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(drawn(name), timeout=60_000, polling=20)
    taken = time.perf_counter() - started
    if page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count():
        raise RuntimeError(f"{address} shows an error")
    page.close()
    return taken


def clicks(context: Any, url: str, runs: int) -> dict[str, list[float]]:
    """Seconds from a click on a page's name, at the top of the page before, to its being drawn."""
    names = [name for name in pages(runs) if "," not in name]
    taken: dict[str, list[float]] = {name: [] for name in names}
    page = context.new_page()
    page.goto(url)
    page.wait_for_function(drawn("Leaderboard"), timeout=60_000)
    for _ in range(REPEATS):
        for name in [*names[1:], names[0]]:
            link = page.get_by_role("link", name=name, exact=True).first
            started = time.perf_counter()
            link.click()
            title = f"document.querySelector('h1')?.innerText.trim() === {name!r}"
            page.wait_for_function(
                f"() => {title} && ({drawn(name)})()", timeout=60_000, polling=20
            )
            taken[name].append(time.perf_counter() - started)
    page.close()
    return taken


def visits(browser: Any, url: str, name: str, path: str, pid: int) -> tuple[list[float], float]:
    """Seconds of some visits, and the processor seconds of the server in all but the first."""
    taken = [measure(browser, url + path, name)]
    before = _processor(pid)
    taken += [measure(browser, url + path, name) for _ in range(REPEATS - 1)]
    return taken, (_processor(pid) - before) / (REPEATS - 1)


def plain(context: Any) -> float:
    """Seconds, as a median, of what no page is quicker than: an app of one title."""
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".py") as app:
        app.write(PLAIN_APP)
        app.flush()
        with started(server_command(Path(app.name), "127.0.0.1", port), port) as (url, _):
            measure(context, url)
            return statistics.median(measure(context, url) for _ in range(REPEATS))


def _processor(pid: int) -> float:
    ticks = 0
    for process in _family(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[float, float]:
    """Megabytes of a process and those it started: at their peaks, and now."""
    peak = now = 0.0
    for process in _family(pid):
        status = Path(f"/proc/{process}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        peak += float(fields["VmHWM"].split()[0]) / 1024
        now += float(fields["VmRSS"].split()[0]) / 1024
    return peak, now


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench-dashboard")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--keep", action="store_true", help="Keep the store it has made.")
    asked = parser.parse_args()
    if chromium() is None:
        parser.error("Chromium is not installed; on Debian: apt-get install chromium")
    if not asked.folder.exists():
        make_store(asked.folder, asked.runs)
    scores = len(overview(Store(asked.folder)).scores)
    with serving(asked.folder) as (url, pid):
        with browsing() as browser:
            start = measure(browser, url, "Leaderboard")
            bare = statistics.median(measure(browser, url, "Leaderboard") for _ in range(REPEATS))
        with kept_browser(VIEWPORT) as context:
            kept = _kept(context, url, pid, asked.runs)
    report = _report(asked.runs, scores, (start, bare), kept)
    (ROOT / "reports" / "dashboard.md").write_text(report)
    print(report)
    if not asked.keep:
        shutil.rmtree(asked.folder)
    slow = [name for name, (taken, _) in kept.visits.items() if max(taken) > PAGE_LIMIT]
    slow += [f"{name} by a click" for name, s in kept.clicks.items() if max(s) > PAGE_LIMIT]
    if statistics.median(kept.visits["Leaderboard"][0]) > FIRST_LIMIT:
        slow.insert(0, "first page")
    sys.exit(f"too slow: {', '.join(slow)}" if slow else 0)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was measured in a browser that keeps its cache.

    Attributes:
        visits: Page -> seconds of its visits, and the server's processor seconds in one.
        clicks: Page -> seconds of its visits by a click.
        once: Megabytes of the server at their peak, and after the first visits.
        after: The same after the further ones.
        floor: Seconds of a visit to an app of one title.
    """

    visits: dict[str, tuple[list[float], float]]
    clicks: dict[str, list[float]]
    once: tuple[float, float]
    after: tuple[float, float]
    floor: float


def _kept(context: Any, url: str, pid: int, runs: int) -> Kept:
    measure(context, f"{url}/tasks")
    found = {name: visits(context, url, name, path, pid) for name, path in pages(runs).items()}
    once = memory(pid)
    clicked = clicks(context, url, runs)
    for _ in range(TABS):
        for name, path in pages(runs).items():
            measure(context, url + path, name)
    return Kept(found, clicked, once, memory(pid), plain(context))


def _report(runs: int, scores: int, bare: tuple[float, float], kept: Kept) -> str:
    further = TABS * len(kept.visits) + REPEATS * len(kept.clicks)
    found, once, after = kept.visits, kept.once, kept.after
    load = os.getloadavg()[1]
    lines = [
        "# How quick the dashboard is",
        "",
        f"Measured by `make bench-dashboard` on {os.cpu_count()} cores, which the server and the "
        f"browser share (load average {load:.1f} in the last five minutes): a store of {runs:,} "
        f"runs and {scores:,} scores, served by `evalkit dashboard`, in headless Chromium. A visit "
        "is a new tab; it ends when the title, tables and charts are drawn and the page's script "
        "has ended.",
        "",
        f"The very first visit after the start, which reads the store, took {bare[0]:.2f} s; later "
        f"ones of the leaderboard with nothing in the browser's cache, {bare[1]:.2f} s (median). "
        "Below the browser has the app's scripts in its cache, compiled, as from the second page "
        "on: the first visit of each page, which reads what only that page needs, and the median "
        f"and the longest of {REPEATS} visits. Limits: {FIRST_LIMIT:g} s for the median visit of "
        f"the leaderboard, {PAGE_LIMIT:g} s for every visit of every page. A Streamlit app of one "
        f"title took this browser {kept.floor:.2f} s: no new tab is quicker here.",
        "",
        "A reader with the dashboard open goes on by a click on a page's name: the last columns.",
        "",
        "| Page | First visit, s | Median, s | Longest, s | Server's processor time, s "
        "| Median by a click, s | Longest by a click, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {taken[0]:.2f} | {statistics.median(taken):.2f} | {max(taken):.2f} "
            f"| {processor:.2f} {_clicked(kept.clicks.get(name))}"
            for name, (taken, processor) in found.items()
        ),
        "",
        f"Memory of the server: {once[0]:,.0f} MB at its peak and {once[1]:,.0f} MB after every "
        f"page was seen {REPEATS} times; {after[0]:,.0f} MB at its peak and {after[1]:,.0f} MB "
        f"after {further} further visits.",
    ]
    return "\n".join(lines) + "\n"


def _clicked(taken: list[float] | None) -> str:
    return f"| {statistics.median(taken):.2f} | {max(taken):.2f} |" if taken else "| | |"


if __name__ == "__main__":
    main()
