import csv
import io
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

from analysis.summary import analyse
from reports.markdown import MAX_BYTES
from reports.render import write_reports
from tests.reports.pages import Page, Rendered, render
from tests.support.run_builder import make_record, write_run

INVISIBLE_MARKS = "\u202e\u202c\u200b\u200d\u2066\u2069\ufeff"
CHARTS = [
    "overview", "avg_latency_by_config", "p50_p95_comparison", "latency_by_prompt_size", "throughput_comparison",
    "latency_heatmap", "percentile_spectrum", "ecdf_by_tier", "ecdf_by_size", "latency_over_time_heatmap",
    "ttft_by_input_tokens", "e2e_by_output_tokens",
    "recovery", "throttling_over_time", "cost_by_configuration", "cost_what_if",
    "latency_by_query_type", "generator_health",
]  # fmt: skip


def test_every_file_of_the_contract_is_written_and_named(small_run: Rendered) -> None:
    names = {str(path.relative_to(small_run.directory)) for path in small_run.paths}

    assert names == {
        "report.html", "summary.md", "junit.xml", "consolidated_results_20270115T080000Z.csv", "token_data.jsonl",
        *(f"charts/{name}.{suffix}" for name in CHARTS for suffix in ("png", "svg")),
    }  # fmt: skip
    assert all(path.stat().st_size > 100 for path in small_run.paths)


def contents(folder: Path, paths: list[Path]) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_without_charts_the_page_says_so_the_rest_is_the_same_and_a_second_rendering_gives_the_same_bytes(
    small_run: Rendered, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small_run.directory, copy)
    whole = contents(small_run.directory, small_run.paths)
    quick = contents(copy, write_reports(copy, small_run.analysis, with_charts=False))
    text = quick.pop("report.html").decode()
    page = Page(text)

    assert not page.all("figure")
    assert not page.all("section", class_="card overview")
    assert "chart-styles" not in text
    assert text.count("draws them") == 1
    assert len(page.all("table")) == len(Page(whole["report.html"].decode()).all("table"))
    assert quick == {name: whole[name] for name in whole if name != "report.html" and not name.startswith("charts/")}
    assert not list((copy / "charts").iterdir())

    assert contents(copy, write_reports(copy, analyse(copy))) == whole


def test_a_run_that_never_said_when_it_started_is_dated_by_its_records(tmp_path: Path) -> None:
    dated = render(write_run(tmp_path / "a", {"a": [make_record(0)]}, started_at=None), with_charts=False)
    empty = render(write_run(tmp_path / "b", {}, cells=[], started_at=None), with_charts=False)

    assert (dated.directory / "consolidated_results_20270115T080000Z.csv").exists()
    assert (empty.directory / "consolidated_results_unknown.csv").exists()


def test_nothing_hostile_becomes_an_element_or_a_handler(hostile_run: Rendered) -> None:
    page = Page(hostile_run.text("report.html"))

    assert not page.all("script")
    assert not page.all("img")
    assert not [name for tag in page.tags for name in tag.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(&#39;pwned&#39;)&lt;/script&gt;" in hostile_run.text("report.html")


def test_templates_inside_text_are_not_evaluated(hostile_run: Rendered) -> None:
    text = hostile_run.text("report.html")

    assert "{{ 7 * 7 }}" in text
    assert ">49" not in text.replace("data:", "")


def test_no_secret_and_no_control_character_reaches_any_file(hostile_run: Rendered) -> None:
    for path in hostile_run.paths:
        if path.suffix == ".png":
            continue
        text = path.read_text(encoding="utf-8")
        for secret in ("123456789012", "AKIAIOSFODNN7EXAMPLE", "210987654321"):
            assert secret not in text, (path.name, secret)
        unwanted = {c for c in text if ord(c) < 32 and c != "\n"} | (set("\x7f\x9b" + INVISIBLE_MARKS) & set(text))
        if path.name == "summary.md":  # it puts zero-width spaces into mentions itself
            unwanted -= {"\u200b"}
        assert not unwanted, path.name


def test_a_megabyte_in_every_field_does_not_bloat_the_files(hostile_run: Rendered) -> None:
    sizes = {path.name: path.stat().st_size for path in hostile_run.paths}

    assert sizes["report.html"] < 2_000_000
    assert sizes["summary.md"] <= MAX_BYTES + 100
    assert sizes["junit.xml"] < 100_000
    assert sizes["token_data.jsonl"] < 500_000
    assert max(size for name, size in sizes.items() if name.endswith((".svg", ".png"))) < 400_000


def test_hostile_text_leaves_every_file_readable(hostile_run: Rendered) -> None:
    ET.fromstring(hostile_run.text("junit.xml"))  # noqa: S314 - our own
    for path in hostile_run.paths:
        if path.suffix == ".svg":
            root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - our own
            assert not [element for element in root.iter() if element.tag.endswith(("script", "foreignObject"))]
    rows = list(csv.reader(io.StringIO(next(hostile_run.directory.glob("*.csv")).read_text(encoding="utf-8"))))
    assert len(rows) == 3
    assert len({len(row) for row in rows}) == 1


def test_hostile_text_is_no_markup_in_the_summary(hostile_run: Rendered) -> None:
    text = re.sub(r"^```sh\n.*\n```$", "", hostile_run.text("summary.md"), flags=re.MULTILINE)

    assert "```" not in text
    assert "<script" not in text.replace("\\<script", "")
    assert "<img" not in text.replace("\\<img", "")
    assert "@everyone" not in text
