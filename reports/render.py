"""Everything a results directory shows, written from its analysis: same input, same bytes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from analysis.inputs import instant
from analysis.summary import Analysis
from reports.html import render_html
from reports.junit import render_junit
from reports.markdown import render_markdown
from reports.material import Material, prepare
from reports.page_figures import PageFigures
from reports.tables import consolidated_csv, token_lines
from reports.timeline import Timeline, timeline
from scenarios.run_directory import RunDirectory, write_parts, write_text


def write_reports(directory: Path, analysis: Analysis, *, with_charts: bool = True) -> list[Path]:
    """Write report.html, charts, summary.md, junit.xml, the CSV and token_data.jsonl; their paths.

    Always writes all of them: a run without a single answer gets a page that says so. Without charts the page says
    that as well, and charts of an earlier report are removed. Nothing in them comes from the clock; the CSV is named
    after the start of the run. OSError if the directory cannot be written.
    """
    names = RunDirectory(directory)
    material = prepare(analysis.summary, analysis.run, analysis.records, analysis.health)
    time = timeline(material)
    figures, charts = _drawn(material, time) if with_charts else (PageFigures(), {})
    csv = directory / f"consolidated_results_{timestamp(material)}.csv"
    page = render_html(material, time, figures, _effective_config(names), csv.name)
    texts = {
        names.report_html: page,
        names.summary_md: render_markdown(material),
        names.junit_xml: render_junit(material),
        csv: consolidated_csv(material),
    }
    for path, text in texts.items():
        write_text(path, text)
    write_parts(names.token_data, token_lines(material))
    return [*texts, names.token_data, *_write_charts(names.charts, charts)]


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


def _drawn(material: Material, time: Timeline) -> tuple[PageFigures, dict[str, bytes]]:
    """All charts: as parts of the page, and as files by name."""
    from reports.drawing import draw_all  # noqa: PLC0415 - brings matplotlib: only who draws pays for it

    return draw_all(material, time)


def _write_charts(folder: Path, charts: Mapping[str, bytes]) -> list[Path]:
    """Write the charts; no older ones stay that would contradict the page."""
    for old in (*folder.glob("*.png"), *folder.glob("*.svg")):
        if old.name not in charts:
            old.unlink()
    if not charts:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in charts.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in charts]
