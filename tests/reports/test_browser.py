"""The page in a real browser: Debian's Chromium, driven by playwright."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.reports.pages import Rendered

CHROMIUM = "/usr/bin/chromium"

pytestmark = pytest.mark.browser

WIDTHS = pytest.mark.parametrize("width", [390, 768, 1440])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(
    small_run: Rendered, suite_run: Rendered, hostile_run: Rendered, odd_runs: dict[str, Rendered]
) -> dict[str, Path]:
    runs = {"6 cells": small_run, "27 cells": suite_run, "hostile": hostile_run, "empty": odd_runs["no cells"]}
    return {name: run.directory / "report.html" for name, run in runs.items()}


def visit(browser: Browser, path: Path, width: int, scheme: Any) -> tuple[Any, list[str]]:
    """Open a page; the page, and all that it complained of or asked for beside itself."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    found: list[str] = []
    page.on("console", lambda message: found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (found.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: found.append(request.url))
    page.goto(path.as_uri())
    return page, [text for text in found if not text.startswith("data:") and text != path.as_uri()]


@SCHEMES
@WIDTHS
@pytest.mark.parametrize("run", ["6 cells", "27 cells", "hostile", "empty"])
def test_the_page_is_silent_asks_for_nothing_and_fits(
    browser: Browser, pages: dict[str, Path], run: str, width: int, scheme: str
) -> None:
    page, complaints = visit(browser, pages[run], width, scheme)

    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@SCHEMES
@WIDTHS
def test_one_picture_of_each_chart_is_shown_and_none_is_broken(
    browser: Browser, pages: dict[str, Path], width: int, scheme: str
) -> None:
    page, _ = visit(browser, pages["27 cells"], width, scheme)
    shown = page.evaluate(
        "[...document.images].filter(i => i.checkVisibility())"
        ".map(i => [i.parentElement.className, i.complete && i.naturalWidth > 0])"
    )

    assert shown == [[scheme, True]] * 6
    page.close()


def test_printing_from_dark_mode_gives_light_charts(browser: Browser, pages: dict[str, Path]) -> None:
    page, _ = visit(browser, pages["6 cells"], 1440, "dark")
    page.emulate_media(media="print")
    shown = page.evaluate("[...document.images].filter(i => i.checkVisibility()).map(i => i.parentElement.className)")

    assert set(shown) == {"light"}
    page.close()


@SCHEMES
def test_text_stands_out_from_what_is_behind_it(browser: Browser, pages: dict[str, Path], scheme: str) -> None:
    page, _ = visit(browser, pages["6 cells"], 1440, scheme)
    poor = page.evaluate(CONTRASTS_BELOW_4_5)

    assert poor == []
    page.close()


def test_everything_that_scrolls_can_be_reached_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    page, _ = visit(browser, pages["27 cells"], 390, "light")
    unreachable = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " && getComputedStyle(e).overflowX === 'auto' && e.tabIndex < 0).length"
    )

    assert unreachable == 0
    page.close()


#: Texts whose contrast with the nearest painted background is below WCAG's 4.5:1.
CONTRASTS_BELOW_4_5 = """
() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
    const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.add(e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
  }
  return [...poor];
}
"""
