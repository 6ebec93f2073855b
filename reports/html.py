"""report.html: one file that opens anywhere, without JavaScript and without a network."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.charts.catalogue import Pictures
from reports.charts.chart import Chart
from reports.material import Material
from reports.sections import cells, cost, first_screen, service
from reports.sections.words import DEFINITIONS
from reports.style import recolour
from reports.table import tone_of
from reports.text import clean_lines
from reports.timeline import Timeline

TEMPLATES = Path(__file__).parent / "templates"

#: Lines of the effective configuration on the page; the file beside it has all.
MAX_CONFIG_LINES = 400


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A chart as the page embeds it: data URIs of both palettes for desktop and phone."""

    name: str
    title: str
    caption: str
    alt: str
    table: str
    section: str
    wide: str
    wide_dark: str
    narrow: str
    narrow_dark: str


def page_figure(chart: Chart, pictures: Pictures) -> PageFigure:
    """Embed a rendered chart."""
    return PageFigure(
        name=chart.name,
        title=chart.title,
        caption=chart.caption,
        alt=f"{chart.alt} {chart.caption}",
        table=chart.table,
        section=chart.section,
        wide=_data_uri(pictures.wide_svg),
        wide_dark=_data_uri(recolour(pictures.wide_svg)),
        narrow=_data_uri(pictures.narrow_svg),
        narrow_dark=_data_uri(recolour(pictures.narrow_svg)),
    )


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def render_html(material: Material, time: Timeline, figures: Sequence[PageFigure], config: str | None) -> str:
    """The page. `figures` start with the overview; `config` is the text of effective.yaml, None without one."""
    template = _environment().get_template("report.html")
    overview, *charts = figures
    return template.render(
        description=material.run.get("description"),
        command=material.run.get("command"),
        include_failures=material.run.get("include_failures") is True,
        version=(material.run.get("versions") or {}).get("project"),
        title=material.run.get("scenario") or "load test",
        verdict=first_screen.verdict(material),
        banners=first_screen.banners(material),
        objectives=first_screen.objectives_table(material),
        headline=first_screen.headline_latency(material),
        headline_figures=first_screen.headline_figures(material),
        overview=overview,
        identity=first_screen.identity(material),
        loop=first_screen.loop_sentence(material),
        started=first_screen.moment(material.run.get("started_at")),
        findings=material.summary.get("recommendations") or [],
        figures=_by_section(charts),
        cells=cells.cells_table(material),
        groups=cells.group_tables(material),
        lone_groups=cells.lone_groups(material),
        all_latencies=first_screen.all_latencies(material),
        over_time=service.time_table(time),
        throttling=service.throttling_sentence(material),
        throttling_tables=service.throttling_tables(material),
        cost=cost.cost_sentence(material),
        cost_notes=cost.cost_notes(material),
        cost_tables=cost.cost_tables(material),
        errors=service.errors_table(material),
        no_errors=service.no_errors_sentence(material),
        validity=service.validity_table(material),
        definitions=DEFINITIONS,
        config=_config_lines(config),
        config_limit=MAX_CONFIG_LINES,
    )


def _by_section(figures: Sequence[PageFigure]) -> dict[str, list[PageFigure]]:
    found: dict[str, list[PageFigure]] = defaultdict(list)
    for figure in figures:
        found[figure.section].append(figure)
    return found


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tone"] = tone_of
    return environment


def _config_lines(config: str | None) -> list[str] | None:
    return None if config is None else clean_lines(config, MAX_CONFIG_LINES)
