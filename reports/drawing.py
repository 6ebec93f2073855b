"""Draws the charts of a report, for its page and as files. Who imports this brings matplotlib."""

from collections.abc import Sequence

from reports.charts.catalogue import Pictures, all_charts, render
from reports.charts.chart import Chart
from reports.inline_svg import Styles, inline, palette_css
from reports.material import Material
from reports.page_figures import PageFigure, PageFigures
from reports.style import DARK, LIGHT
from reports.timeline import Timeline


def draw_all(material: Material, time: Timeline) -> tuple[PageFigures, dict[str, bytes]]:
    """Draw every chart of a report: as parts of its page, and as PNG and SVG files by name."""
    charts = all_charts(material, time)
    pictures = [render(chart) for chart in charts]
    files = dict[str, bytes]()
    for chart, picture in zip(charts, pictures, strict=True):
        files |= {f"{chart.name}.png": picture.png, f"{chart.name}.svg": picture.wide_svg}
    return page_figures(charts, pictures), files


def page_figures(charts: Sequence[Chart], pictures: Sequence[Pictures]) -> PageFigures:
    """Charts with their pictures, fit for one page."""
    styles = Styles()
    figures = tuple(
        PageFigure(
            name=chart.name,
            title=chart.title,
            caption=chart.caption,
            alt=f"{chart.alt} {chart.caption}",
            table=chart.table,
            section=chart.section,
            wide=inline(picture.wide_svg, f"w{number}", styles),
            narrow=inline(picture.narrow_svg, f"n{number}", styles),
        )
        for number, (chart, picture) in enumerate(zip(charts, pictures, strict=True))
    )
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {palette_css(DARK)} }} }}"
    return PageFigures(figures, f":root {{ {palette_css(LIGHT)} }}\n{dark}\n{styles.css()}")
