"""The pictures of docs/images, taken of a report in headless Chromium: `python -m tests.support.pictures [DIR]`.

DIR is a results directory, by default the last run. Pictures have a palette of 200 colours, which text and charts
survive and which makes them small.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from pypdfium2 import PdfDocument

from tests.support.browser import CHROMIUM, CHROMIUM_ARGUMENTS

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
COLOURS = 200

#: Name, width and height of the window in px, colour scheme.
SCREENS: tuple[tuple[str, int, int, Literal["light", "dark"]], ...] = (
    ("report", 1440, 1240, "light"),
    ("report-dark", 1440, 1240, "dark"),
    ("report-phone", 390, 1500, "light"),
)


def take(page: Path, folder: Path) -> Iterator[Path]:
    """Write all pictures of a page; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        for name, width, height, scheme in SCREENS:
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            tab.goto(page.as_uri())
            yield _save(Image.open(io.BytesIO(tab.screenshot())), folder / f"{name}.png")
            tab.close()
        yield _save(_first_printed(browser, page), folder / "report-print.png")
        browser.close()


def _first_printed(browser: Browser, page: Path) -> Image.Image:
    """The first sheet of the page as it is printed, 100 dots an inch."""
    tab = browser.new_page(color_scheme="dark")
    tab.goto(page.as_uri())
    sheet: Image.Image = PdfDocument(tab.pdf(prefer_css_page_size=True))[0].render(scale=100 / 72).to_pil()
    return sheet


def _save(picture: Image.Image, path: Path) -> Path:
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


if __name__ == "__main__":
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "test_results" / "latest"
    for taken in take((results / "report.html").resolve(), IMAGES):
        print(f"{taken.relative_to(ROOT)}: {taken.stat().st_size // 1000} kB")
