"""report.html: one file that opens anywhere, without JavaScript and without a network."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.material import Material
from reports.page_figures import PageFigures
from reports.sections import against, cells, cost, first_screen, load, rounds, service
from reports.sections.words import DEFINITIONS
from reports.table import tone_of
from reports.text import clean_lines
from reports.timeline import Timeline

TEMPLATES = Path(__file__).parent / "templates"

#: Lines of the effective configuration on the page; the file beside it has all.
MAX_CONFIG_LINES = 400


#: Files that the page links to, in the same directory, and what they hold.
FILES = (
    ("token_data.jsonl", "a line per attempt"),
    ("summary.json", "all numbers"),
    ("junit.xml", "a test case per judgement"),
)


def render_html(material: Material, time: Timeline, figures: PageFigures, config: str | None, csv: str) -> str:
    """The page; `config` is the text of effective.yaml, None without one; `csv` the name of the cells' CSV file."""
    template = environment().get_template("report.html")
    return template.render(
        description=material.run.get("description"),
        command=material.run.get("command"),
        include_failures=material.run.get("include_failures") is True,
        version=(material.run.get("versions") or {}).get("project"),
        title=material.run.get("scenario") or "load test",
        started=first_screen.moment(material.run.get("started_at")),
        overview=figures.overview,
        figures=figures.by_section(),
        chart_css=figures.css,
        over_time=service.time_table(time),
        definitions=DEFINITIONS,
        config=_config_lines(config),
        config_limit=MAX_CONFIG_LINES,
        files=[(csv, "a row per cell"), *FILES],
        **_first_screen(material),
        **_sections(material),
    )


def _first_screen(material: Material) -> dict[str, Any]:
    return {
        "verdict": first_screen.verdict(material),
        "banners": first_screen.banners(material),
        "objectives": first_screen.objectives_table(material),
        "headline": first_screen.headline_latency(material),
        "headline_figures": first_screen.headline_figures(material),
        "identity": first_screen.identity(material),
        "loop": first_screen.loop_sentence(material),
    }


def _sections(material: Material) -> dict[str, Any]:
    return {
        "findings": material.summary.get("recommendations") or [],
        "baseline": against.baseline_view(material),
        "tiers": against.tiers_view(material),
        "load_tables": load.load_tables(material),
        "no_load": load.no_load_sentence(material),
        "cell_tables": cells.cells_tables(material),
        "rounds": rounds.rounds_table(material),
        "groups": cells.group_tables(material),
        "lone_groups": cells.lone_groups(material),
        "all_latencies": first_screen.all_latencies(material),
        "throttling": service.throttling_sentence(material),
        "throttling_tables": service.throttling_tables(material),
        "cost": cost.cost_sentence(material),
        "cost_notes": cost.cost_notes(material),
        "cost_tables": cost.cost_tables(material),
        "errors": service.errors_table(material),
        "no_errors": service.no_errors_sentence(material),
        "validity": service.validity_table(material),
        "not_read": service.not_read_sentence(material),
    }


def environment() -> Environment:
    """Where the pages' templates are, and how they are filled in: all text is escaped, and nothing may be missing."""
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
