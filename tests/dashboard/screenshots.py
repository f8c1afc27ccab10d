"""Takes the pictures that README and documentation show.

`python -m tests.dashboard.screenshots --store reports --out docs/images` draws every page of a
store at both widths, and the leaderboard dark too; the newest run is compared with the one before.
"""

import argparse
from pathlib import Path
from typing import Any

from evalkit.results import Store, overview
from tests.dashboard.browser import browsing, chromium, served, settled

WIDTHS = {"": 1280, "-narrow": 390}
TALLEST = 1400


def main() -> None:
    """Parse the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="reports")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    chosen = parser.parse_args()
    if chromium() is None:
        parser.error("Chromium is not installed; on Debian: apt-get install chromium")
    chosen.out.mkdir(parents=True, exist_ok=True)
    with served(chosen.store) as url, browsing() as browser:
        for name, path in pages(chosen.store).items():
            for suffix, width in WIDTHS.items():
                shoot(browser, url + path, chosen.out / f"{name}{suffix}.png", width)
        shoot(browser, url, chosen.out / "leaderboard-dark.png", WIDTHS[""], "dark")


def pages(store: str) -> dict[str, str]:
    """Name of each picture and the address it is taken at."""
    found = overview(Store(store)).manifests
    runs = list(found)
    pair = f"a={runs[1]}&b={runs[0]}" if len(runs) > 1 else ""
    texts = [name for name, task in found[runs[0]].tasks.items() if task.family == "translation"]
    task = f"&task={texts[0]}" if texts else ""
    return {
        "leaderboard": "/",
        "compare": f"/compare?{pair}",
        "samples": f"/samples?{pair}{task}",
        "training": "/training",
        "safety": f"/safety?{pair}",
        "speed": "/speed",
        "gate": "/gate",
        "arena": f"/arena?{pair}{task}&rater=ann",
        "tasks": "/tasks",
    }


def shoot(browser: Any, url: str, path: Path, width: int, scheme: str = "light") -> None:
    """Save a picture of a page, as tall as its content up to `TALLEST` pixels."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=1.5
    )
    page = context.new_page()
    page.goto(url)
    settled(page)
    for _ in range(3):  # what comes into view may grow
        height = page.evaluate(
            "document.querySelector('[data-testid=stMain]').scrollTop + 30 + Math.max("
            "...[...document.querySelectorAll('[data-testid=stCaptionContainer]')].map("
            "caption => caption.getBoundingClientRect().bottom))"
        )
        page.set_viewport_size({"width": width, "height": min(int(height), TALLEST)})
        page.wait_for_timeout(500)
    page.screenshot(path=path)
    context.close()
    print(path)


if __name__ == "__main__":
    main()
