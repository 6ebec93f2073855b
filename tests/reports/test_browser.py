"""The page in a real browser: Debian's Chromium, driven by playwright. Each page is opened once for all its tests."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.reports.pages import Rendered
from tests.support.browser import CHROMIUM, CHROMIUM_ARGUMENTS

pytestmark = pytest.mark.browser

RUNS = ("6 cells", "27 cells", "hostile", "empty")
SCHEMES = ("light", "dark")
INK = {"light": "rgb(27, 32, 39)", "dark": "rgb(231, 236, 242)"}


@dataclass
class Opened:
    """A page, and all that it complained of or asked for beside itself."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def look(self, width: int, scheme: str) -> Page:
        """The page in a window of that width and that colour scheme."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(media="screen", color_scheme="dark" if scheme == "dark" else "light")
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(
    browser: Browser, small_run: Rendered, suite_run: Rendered, hostile_run: Rendered, odd_runs: dict[str, Rendered]
) -> dict[str, Opened]:
    runs = dict(zip(RUNS, (small_run, suite_run, hostile_run, odd_runs["no cells"]), strict=True))
    return {name: visit(browser, run.directory / "report.html") for name, run in runs.items()}


def visit(browser: Browser, path: Path) -> Opened:
    page = browser.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (found.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: found.complaints.append(request.url))
    page.goto(path.as_uri())
    found.complaints[:] = [text for text in found.complaints if text != path.as_uri()]
    return found


@pytest.mark.parametrize("run", RUNS)
def test_the_page_is_silent_asks_for_nothing_and_fits(opened: dict[str, Opened], run: str) -> None:
    for width, scheme in product((390, 768, 1440), SCHEMES):
        assert opened[run].look(width, scheme).evaluate("document.documentElement.scrollWidth") <= width

    assert [text for text in opened[run].complaints if not text.startswith("data:image/png")] == []


def test_each_chart_is_shown_once_in_the_colours_of_the_scheme(opened: dict[str, Opened], suite_run: Rendered) -> None:
    for width, scheme in product((390, 1440), SCHEMES):
        shown = (
            opened["27 cells"]
            .look(width, scheme)
            .evaluate(
                "[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('.chart')]"
                ".filter(c => c.checkVisibility()).map(c => c.className))"
            )
        )

        assert len(shown) == len(list((suite_run.directory / "charts").glob("*.png")))
        assert {*map(tuple, shown)} == {("chart narrow-only" if width == 390 else "chart wide-only",)}
        assert INK[scheme] in colours_of_charts(opened["27 cells"].page)
        assert INK["light" if scheme == "dark" else "dark"] not in colours_of_charts(opened["27 cells"].page)


def test_printing_from_dark_mode_gives_light_a4_with_everything_unfolded(opened: dict[str, Opened]) -> None:
    page = opened["6 cells"].look(1440, "dark")
    page.emulate_media(media="print")

    assert INK["light"] in colours_of_charts(page)
    assert INK["dark"] not in colours_of_charts(page)
    assert page.get_by_text("traffic: 漫画").is_visible()
    assert b"/MediaBox [0 0 841.91998 594.95996]" in page.pdf(prefer_css_page_size=True)


def test_axe_finds_nothing_to_object_to(opened: dict[str, Opened]) -> None:
    page = opened["6 cells"].page
    page.reload()
    page.evaluate(UNFOLD_AND_THIN)
    for width, scheme in ((1440, "light"), (390, "dark")):  # no colour depends on the width, no layout on the scheme
        opened["6 cells"].look(width, scheme)
        found = Axe().run(page, options={"resultTypes": ["violations"]})

        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found.response["violations"]] == []


def test_the_keyboard_comes_first_to_the_link_that_skips(opened: dict[str, Opened]) -> None:
    page = opened["27 cells"].look(390, "light")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0


def colours_of_charts(page: Page) -> set[str]:
    """Fill colours of the texts of charts that are shown."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.chart text')].filter(t => t.checkVisibility())"
        ".map(t => getComputedStyle(t).fill)"
    )
    return {re.sub(r"\s+", " ", colour) for colour in found}


#: Opens what is folded, and leaves three rows of each table and no drawing: the others are alike.
UNFOLD_AND_THIN = """() => {
  document.querySelectorAll('details').forEach(each => { each.open = true; });
  document.querySelectorAll('tbody').forEach(body => [...body.rows].slice(3).forEach(row => row.remove()));
  document.querySelectorAll('.chart > svg').forEach(drawing => drawing.replaceChildren());
}"""
