"""comparison.html: what a reader of a comparison sees, whatever was compared."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.comparability import Pair
from analysis.comparison import Comparison, Side, compare_cells, compare_runs
from analysis.config_differences import Role, config_differences
from analysis.curves import ecdf
from analysis.sides import read_side
from orchestrator.cli import main
from reports import style
from reports.charts import changes, compared_distributions
from reports.charts.paired_ecdf import PairedCurves, paired_ecdf
from reports.comparison_page import DEFINED, Outcome, party, render_comparison
from reports.sections.words import DEFINITIONS
from tests.reports.hostile import ATTACK, CELL_FIELDS, ENORMOUS, NAME, RUN_FIELDS
from tests.reports.pages import Page
from tests.support.run_builder import CellSpec, build_run, make_record, write_run

CELL = CellSpec("a", n=400, rate_rps=20.0)
CANVASES = pytest.mark.parametrize("canvas", [style.WIDE, style.NARROW], ids=["wide", "narrow"])


@pytest.fixture(scope="module")
def text(compared_page: Path) -> str:
    return compared_page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Two runs that cannot be compared, with attacks in every text; such a page has no charts."""
    folder = tmp_path_factory.mktemp("attacks")
    entry = CellSpec(NAME).entry() | dict.fromkeys(CELL_FIELDS, ATTACK) | {"pattern": ATTACK + ENORMOUS}
    records = {NAME: [make_record(i, cell=NAME) for i in range(8)]}
    parties = []
    for which in ("this", "that"):
        texts = dict.fromkeys(RUN_FIELDS, ATTACK) | {"region": f"{which} {ATTACK}"}
        sources = [{"name": ATTACK, "value": f"{which} {ATTACK}{ENORMOUS}"}]
        run = write_run(folder / which, records, cells=[entry], sources=sources, versions={ATTACK: which}, **texts)
        parties.append(party(read_side(run), {"validity": {"status": ATTACK}}))
    this, that = parties
    outcome = Outcome(5, "not compared", f"compare {ATTACK}")
    return Page(render_comparison(compare_runs(this.side, that.side), this, that, outcome))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Side, Side]:
    """Eight cells, each slower than its baseline by more than the one before; the first as fast."""
    folder = tmp_path_factory.mktemp("many")
    cells = [replace(CELL, cell=f"c{i}", n=100, users=i, rate_rps=None) for i in range(1, 9)]
    build_run(folder / "new", [replace(cell, ttft_ms=300.0 * 1.4**i) for i, cell in enumerate(cells)], seed=2)
    build_run(folder / "old", cells)
    this, old = (read_side(folder / name) for name in ("new", "old"))
    return compare_runs(this, old), this, old


def test_the_verdict_comes_first_with_its_figures_and_the_exit_code(page: Page) -> None:
    verdict = next(tag for tag in page.tags if tag.attributes.get("id") == "verdict")
    words = " ".join(verdict.text.split())

    assert re.match(r"Regressed \d of 12 figures regressed, \d+ within noise\. Regressed: ", words)
    assert "Exit code 1 a regression This run VALID Baseline not judged" in words


def test_every_figure_is_listed_with_interval_p_and_n_the_gravest_first(page: Page) -> None:
    heading, *rows = page.table("All figures compared")
    by_figure = {row[1]: row for row in rows}

    assert heading == [
        "Cell", "Figure", "Verdict", "Baseline", "This run", "Change", "95 % interval", "p Holm", "n this run",
        "n baseline", "Remark",
    ]  # fmt: skip
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), key="regressed within noise".index)
    assert re.fullmatch(r"\+\d+\.\d %", by_figure["ttft_ms p95"][5])
    assert by_figure["ttft_ms p95"][7:10] == ["< 0.001", "400", "400"]
    assert by_figure["error_rate"][5] == "+0.0 pp"
    assert by_figure["tpot_ms p50"][2] == "within noise"


def test_the_page_has_both_runs_the_command_of_each_and_its_own(page: Page) -> None:
    assert {"This run", "Baseline"} <= set(page.words("h2"))
    assert len(page.words("code")) >= 3
    assert page.words("code")[-1].startswith("python run_tests.py compare ")


def test_what_is_not_the_same_is_said_with_what_it_means(page: Page) -> None:
    assert ["commit", "b2", "a1", "may explain a change", "the runs"] in page.table("Differences of configuration")


def test_a_run_that_was_never_analysed_has_dashes_for_its_checks(page: Page) -> None:
    row = next(row for row in page.table("Checks of both measurements") if row[0] == "send lag p99")

    assert row[1] == "OK"
    assert row[3:5] == ["—", "—"]


def test_the_page_stands_alone_and_its_links_lead_somewhere(page: Page, hostile: Page) -> None:
    for each in (page, hostile):
        ids = [tag.attributes["id"] for tag in each.tags if "id" in tag.attributes]
        links = [
            tag.attributes[name] for tag in each.tags for name in ("src", "srcset", "href") if name in tag.attributes
        ]
        policy = next(tag for tag in each.all("meta") if "http-equiv" in tag.attributes).attributes["content"]

        assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        assert not [tag for tag in each.tags if tag.name in ("script", "link", "iframe", "form", "base")]
        assert len(ids) == len(set(ids))
        assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
        assert all(link.startswith(("#", "data:image/svg+xml;base64,")) for link in links)
        assert len(each.all("caption")) == len(each.all("table"))


def test_texts_of_the_runs_are_no_markup_and_tell_no_secret(page: Page, hostile: Page, text: str) -> None:
    assert "&lt;img src=x onerror=alert(1)&gt;" in text, "the cell is named like an attack"
    for each in (page, hostile):
        assert not [name for tag in each.tags for name in tag.attributes if name.startswith("on")]
        for secret in ("123456789012", "210987654321", "AKIAIOSFODNN7EXAMPLE", "\x1b", ">49"):
            assert secret not in each.source
    assert len(hostile.source) < 500_000


def test_runs_that_cannot_be_compared_say_what_differs_and_have_no_charts(hostile: Page) -> None:
    assert hostile.words("h2")[0] == "Not comparable"
    assert hostile.words("p", class_="reason")[0].startswith("The runs are not comparable: region: ")
    assert [row[0] for row in hostile.table("Differences of configuration") if row[3] == "prevents comparing"] == [
        "region"
    ]
    assert not hostile.all("figure")


def test_the_same_command_writes_the_same_bytes(compared_page: Path, text: str, tmp_path: Path) -> None:
    directories = [str(compared_page.parent), str(compared_page.parent.parent / "old")]

    assert main(["compare", *directories, "--output", str(tmp_path / "again.html")]) == 1
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_every_definition_that_the_page_needs_is_there() -> None:
    assert set(DEFINED) <= {term for term, _ in DEFINITIONS}


def test_a_difference_that_was_meant_prevents_nothing(tmp_path: Path) -> None:
    settings = [[{"name": "fail_on", "value": word}, {"name": "order.cool_down", "value": word}] for word in ("1", "2")]
    other = replace(CELL, n=5, model_id="amazon.nova-2-lite-v1:0", pattern="spike")
    this = read_side(build_run(tmp_path / "new", [other], sources=settings[0]))
    old = read_side(build_run(tmp_path / "old", [replace(CELL, n=5)], sources=settings[1]))
    found = config_differences(compare_runs(this, old, across=["model"]), this.run, old.run, across=["model"])

    assert [(entry.difference.what, entry.role, entry.cells) for entry in found] == [
        ("pattern", Role.PREVENTS, ("a",)),
        ("model", Role.MEANT, ("a",)),
        ("order.cool_down", Role.NOTED, ()),
    ]


def test_two_cells_of_a_run_are_called_by_their_names(tmp_path: Path) -> None:
    cells = [replace(CELL, n=5), replace(CELL, n=5, cell="b", service_tier="flex")]
    side = read_side(build_run(tmp_path / "run", cells))
    run, (first, second) = party(side, {}), side.run.cells
    found = compare_cells(side, [Pair(second, first)])

    page = Page(render_comparison(found, run, run, Outcome(5, "not compared", "compare")))

    assert page.words("p", class_="when") == ["b against a"]
    assert ["service_tier", "flex", "default", "meant to differ", "b"] in page.table("Differences of configuration")
    assert page.table("All figures compared")[0][3:5] == ["a", "b"]
    assert "The run of both cells" in page.words("h2")


def test_of_many_cells_those_that_changed_most_are_drawn_alone(many: tuple[Comparison, Side, Side]) -> None:
    charts = compared_distributions.charts(*many, ("this run", "baseline"))

    assert [chart.title for chart in charts] == ["All 8 cells together", "c8", "c7", "c6"]
    assert re.match(r"TTFT p95 \d+ → [\d,]+ ms, response p95 .*; verdicts are per cell", charts[0].caption)
    assert re.match(r"TTFT p95 \d+ → [\d,]+ ms, \+\d+\.\d % \(\+.* to \+.*\): regressed\. Response", charts[1].caption)


def test_more_changes_than_can_be_read_are_cut_and_the_caption_says_so(many: tuple[Comparison, Side, Side]) -> None:
    frame = changes.changes_frame(many[0])
    latencies = frame[~frame["is_share"].astype(bool)]
    shown = changes.shown_rows(latencies)

    assert (len(latencies), len(shown)) == (48, changes.MAX_ROWS)
    assert (shown["status"] == "regressed").sum() == (latencies["status"] == "regressed").sum() > 0
    assert f"The {changes.MAX_ROWS} that changed most are drawn, 8 are not." in changes.finding(latencies, 0.1)


@CANVASES
def test_the_chart_of_changes_has_the_threshold_as_a_band_and_room_for_all(
    many: tuple[Comparison, Side, Side], canvas: style.Canvas
) -> None:
    frame = changes.changes_frame(many[0])
    with style.chart_style():
        axes = changes.changes(frame[~frame["is_share"].astype(bool)], 0.25, canvas).axes[0]
    band: Any = axes.patches[0]
    low, high = axes.get_xlim()

    assert (band.get_x(), band.get_width()) == (0.75, 0.5)
    assert 1.0 in axes.get_xticks()
    assert 3 <= len(axes.get_xticks()) <= (5 if canvas.narrow else 9)
    assert all(low < end < high for line in axes.collections for end in line.get_datalim(axes.transData).intervalx)


def test_curves_mark_only_percentiles_with_enough_requests() -> None:
    few, many = ecdf(np.arange(1.0, 21.0)), ecdf(np.arange(1.0, 401.0))
    with style.chart_style():
        figure = paired_ecdf(PairedCurves(("new", "old"), {"ttft_ms": (few, many)}), style.WIDE)
    marks = {line.get_color(): list(line.get_ydata()) for line in figure.axes[0].lines if line.get_marker() != "None"}

    assert marks == {style.series(0).color: [0.5], style.series(1).color: [0.5, 0.95, 0.99]}
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["new, n 20", "old, n 400"]


@CANVASES
def test_there_is_a_picture_of_curves_without_a_request(canvas: style.Canvas) -> None:
    nothing, one = ecdf(np.zeros(0)), ecdf(np.ones(1))
    for pair in ((nothing, nothing), (one, nothing)):
        with style.chart_style():
            svg = style.svg_bytes(paired_ecdf(PairedCurves(("new", "old"), {"ttft_ms": pair, "e2e_ms": pair}), canvas))

        assert b"<svg" in svg
