"""docs/report.md says what the reports are."""

from pathlib import Path

import pytest

from reports.charts.rows import MAX_ROWS as CHART_ROWS
from reports.markdown import MAX_BYTES
from reports.sections.cells import MAX_CELLS
from reports.style import NARROW
from reports.timeline import MAX_DOTS
from tests.reports.pages import Page, Rendered

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")


def test_every_file_is_explained(small_run: Rendered) -> None:
    for path in small_run.paths:
        name = path.name.replace("20270115T080000Z", "<timestamp>")
        assert f"`{path.stem if path.parent.name == 'charts' else name}`" in GUIDE, name


def test_every_section_of_the_page_is_explained(small_run: Rendered) -> None:
    headings = Page(small_run.text("report.html")).words("h2")

    assert [heading for heading in headings[1:] if f"**{heading}" not in GUIDE and f"**{heading}.**" not in GUIDE] == []


def test_the_pictures_are_there_and_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("report*.png"))

    assert [path.stem for path in pictures] == ["report-dark", "report-phone", "report-print", "report"]
    assert all(10_000 < path.stat().st_size < 300_000 for path in pictures)


@pytest.mark.parametrize("number", ["3,000", "60 cells", "lists 500", "64 KB", "384 px"])
def test_limits_named_in_the_guide_are_the_ones_in_force(number: str) -> None:
    in_force = {
        f"{MAX_DOTS:,}", f"{CHART_ROWS} cells", f"lists {MAX_CELLS}", f"{MAX_BYTES // 1000} KB",
        f"{NARROW.width_px} px",
    }  # fmt: skip
    assert number in in_force
    assert number in GUIDE
