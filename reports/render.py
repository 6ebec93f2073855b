"""Everything a results directory shows, written from its analysis: same input, same bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from analysis.inputs import instant
from analysis.summary import Analysis
from reports.charts.catalogue import Pictures, all_charts, render
from reports.charts.chart import Chart
from reports.html import page_figures, render_html
from reports.junit import render_junit
from reports.markdown import render_markdown
from reports.material import Material, prepare
from reports.tables import consolidated_csv, token_lines
from reports.timeline import timeline
from scenarios.run_directory import RunDirectory, write_parts, write_text


def write_reports(directory: Path, analysis: Analysis) -> list[Path]:
    """Write report.html, charts, summary.md, junit.xml, the CSV and token_data.jsonl; their paths.

    Always writes all of them: a run without a single answer gets a page that says so. Nothing in them comes from
    the clock; the CSV is named after the start of the run. OSError if the directory cannot be written.
    """
    names = RunDirectory(directory)
    material = prepare(analysis.summary, analysis.run, analysis.records, analysis.health)
    time = timeline(material)
    charts = all_charts(material, time)
    pictures = [render(chart) for chart in charts]
    csv = directory / f"consolidated_results_{timestamp(material)}.csv"
    page = render_html(material, time, page_figures(charts, pictures), _effective_config(names), csv.name)
    texts = {
        names.report_html: page,
        names.summary_md: render_markdown(material),
        names.junit_xml: render_junit(material),
        csv: consolidated_csv(material),
    }
    for path, text in texts.items():
        write_text(path, text)
    write_parts(names.token_data, token_lines(material))
    return [*texts, names.token_data, *_write_charts(names, charts, pictures)]


def timestamp(material: Material) -> str:
    """Start of the run as `20270115T080000Z`: of run.json, else of the first record, else `unknown`."""
    at = instant(material.run.get("started_at"))
    if at is None and material.records["intended_at"].notna().any():
        at = float(material.records["intended_at"].min())
    return "unknown" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def _effective_config(names: RunDirectory) -> str | None:
    try:
        return names.effective_yaml.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _write_charts(names: RunDirectory, charts: list[Chart], pictures: list[Pictures]) -> Iterator[Path]:
    names.charts.mkdir(parents=True, exist_ok=True)
    for chart, picture in zip(charts, pictures, strict=True):
        for suffix, content in ((".png", picture.png), (".svg", picture.wide_svg)):
            path = names.charts / f"{chart.name}{suffix}"
            path.write_bytes(content)
            yield path
