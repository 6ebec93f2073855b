"""What the charts show; what they look like is looked at (docs/report.md)."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports import style
from reports.cells import cell_results, varying
from reports.charts import avg_latency, heatmap, overview, percentiles, prompt_size, throughput
from reports.charts.catalogue import all_charts, cell_charts, overview_chart
from reports.charts.rows import MAX_ROWS, plan_rows
from reports.frames import cells_frame, sizes_frame
from reports.material import Material
from reports.timeline import limit_lines, timeline
from tests.reports.pages import OBJECTIVES, Rendered, material_of
from tests.support.run_builder import CellSpec, build_run, make_record, write_run

NAMES = [
    "overview", "avg_latency_by_config", "p50_p95_comparison", "latency_by_prompt_size", "throughput_comparison",
    "latency_heatmap",
]  # fmt: skip
CANVASES = pytest.mark.parametrize("canvas", [style.WIDE, style.NARROW], ids=["wide", "narrow"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, suite_run: Rendered, small_run: Rendered) -> dict[str, Material]:
    root = tmp_path_factory.mktemp("charts")
    long_name = "a-cell-with-a-very-long-name-that-nobody-shortened-" * 4
    return {
        "27 cells": material_of(suite_run.directory),
        "6 cells": material_of(small_run.directory),
        "1 cell": material_of(build_run(root / "one", [CellSpec("only", n=40)], objectives=OBJECTIVES)),
        "long names": material_of(
            build_run(
                root / "long", [CellSpec(f"{long_name[:200]}{i}", n=20, users=i, model_id=long_name) for i in (1, 2)]
            )
        ),
    }


def draw(material: Material, name: str, canvas: style.Canvas) -> Figure:
    charts = {c.name: c for c in [overview_chart(material, timeline(material)), *cell_charts(material)]}
    with style.chart_style():
        figure = charts[name].draw(canvas)
        FigureCanvasAgg(figure).draw()  # lays the figure out
    return figure


def texts(figure: Figure) -> list[str]:
    found = [t.get_text() for axes in figure.axes for t in axes.texts]
    found += [t.get_text() for axes in figure.axes for t in [*axes.get_xticklabels(), *axes.get_yticklabels()]]
    return [text for text in found if text]


@CANVASES
@pytest.mark.parametrize("run", ["27 cells", "6 cells", "1 cell", "long names"])
@pytest.mark.parametrize("name", NAMES)
def test_labels_of_an_axis_never_touch_and_stay_inside(
    runs: dict[str, Material], name: str, run: str, canvas: style.Canvas
) -> None:
    assert_labels_are_apart(draw(runs[run], name, canvas))


@CANVASES
def test_sizes_keep_apart_with_many_requests_each(canvas: style.Canvas) -> None:
    sizes, facets = ("small", "medium", "large"), ("30 users", "60 users")
    rows = [
        {"facet": facet, "hue": "default", "size": size, "metric": metric, "n": 12_345, "p50": 100.0, "p95": 300.0}
        for facet in facets
        for size in sizes
        for metric in ("ttft_ms", "e2e_ms")
    ]
    how = prompt_size.SizeSplit(("load",), facets, "tier")
    with style.chart_style():
        figure = prompt_size.latency_by_prompt_size(pd.DataFrame(rows), how, canvas)
        FigureCanvasAgg(figure).draw()

    assert_labels_are_apart(figure)


def assert_labels_are_apart(figure: Figure) -> None:
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for axes in (axes for axes in figure.axes if axes.get_visible()):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            labels = [
                tick.label1
                for tick in axis.get_major_ticks()
                if tick.label1.get_visible() and tick.label1.get_text() and low <= tick.get_loc() <= high
            ]
            boxes = [label.get_window_extent(renderer) for label in labels]
            for one, other in combinations(boxes, 2):
                assert not one.padded(-0.5).overlaps(other.padded(-0.5)), [label.get_text() for label in labels]
            for box in boxes:
                assert box.x0 >= -1
                assert box.x1 <= figure.bbox.x1 + 1


@pytest.mark.parametrize("name", NAMES[1:])
def test_every_number_of_requests_is_on_the_chart(runs: dict[str, Material], name: str) -> None:
    material = runs["27 cells"]
    shown = " ".join(texts(draw(material, name, style.WIDE)))
    column = "requests" if name == "throughput_comparison" else "n"

    for n in cells_frame(material)[column].unique():
        assert re.search(rf"\b{n}\b", shown), (name, n)


def lines_with_markers(axes: Axes) -> list[Any]:
    return [line for line in axes.lines if line.get_marker() not in ("None", "", None)]


def test_too_few_requests_are_hollow_and_enough_are_filled(tmp_path: Path) -> None:
    frame = cells_frame(material_of(build_run(tmp_path / "run", [CellSpec("few", n=40), CellSpec("many", n=100)])))
    with style.chart_style():
        figure = percentiles.p50_p95_comparison(frame, ["name"], {}, style.WIDE)
    hollow = [line for line in lines_with_markers(figure.axes[0]) if line.get_markerfacecolor() == style.LIGHT.surface]

    assert [line.get_marker() for line in hollow] == ["D"]  # the p95 of the small cell, and nothing else
    assert len(hollow[0].get_xdata()) == 1


def test_a_missing_value_leaves_a_gap(tmp_path: Path) -> None:
    failed = [make_record(i, cell="bad", outcome="throttled") for i in range(40)]
    fine = [make_record(i, cell="good") for i in range(90)]
    frame = cells_frame(material_of(write_run(tmp_path / "run", {"bad": failed, "good": fine})))
    with style.chart_style():
        figure = avg_latency.avg_latency_by_config(frame, ["name"], style.WIDE)
    widths = [patch.get_width() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]

    assert sum(width > 0 for width in widths) == 1
    assert 0.0 not in widths
    assert "—" in texts(figure)


@pytest.mark.filterwarnings("error")
def test_a_narrow_chart_of_one_cell_without_figures_has_room_for_its_legend(tmp_path: Path) -> None:
    frame = cells_frame(material_of(build_run(tmp_path / "run", [CellSpec("only", n=1)])))
    unknown = dict.fromkeys(("achieved_rps", "goodput_rps", "offered_rps", "total_output_tokens_per_s"))
    with style.chart_style():
        style.freeze(throughput.throughput_comparison(frame.assign(**unknown), ["name"], style.NARROW))


def test_the_mean_never_stands_without_its_p95(runs: dict[str, Material]) -> None:
    figure = draw(runs["27 cells"], "avg_latency_by_config", style.WIDE)
    values = sum(len(line.get_xdata()) for line in lines_with_markers(figure.axes[0]))

    assert values == 27
    assert {"mean", "p95", "n"} <= set(texts(figure))


def test_limits_are_drawn_where_they_are(runs: dict[str, Material]) -> None:
    figure = draw(runs["27 cells"], "p50_p95_comparison", style.WIDE)
    limits = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_color() == style.LIGHT.limit]

    assert limits == [600.0]


def test_a_heat_map_square_without_enough_requests_has_words_instead_of_a_colour(tmp_path: Path) -> None:
    sizes = ("small", "medium", "large")
    cells = [CellSpec(f"c-{size}", n=30 if size == "large" else 100, prompt_size=size) for size in sizes]
    frame = cells_frame(material_of(build_run(tmp_path / "run", cells)))
    with style.chart_style():
        figure = heatmap.latency_heatmap(frame, ["size"], style.WIDE)
    shown = texts(figure)

    assert shown.count("too few") == 1
    assert {"n 100", "n 30"} <= {text.split(" ✓")[0].split(" ✗")[0].split(" ?")[0] for text in shown}
    assert "1 of 3 squares have fewer than 72 requests" in heatmap.finding(frame, ["size"])


def test_a_run_of_small_cells_is_compared_by_medians(tmp_path: Path) -> None:
    frame = cells_frame(material_of(build_run(tmp_path / "run", [CellSpec("a", n=20), CellSpec("b", n=20, users=3)])))

    assert heatmap.shown_stat(frame) == "p50"
    assert "p50" in heatmap.finding(frame, ["load"])


def test_many_cells_keep_the_slowest_and_say_so() -> None:
    frame = pd.DataFrame({"name": [f"c{i}" for i in range(500)], "e2e_ms_p95": range(500), "tier": "default"})
    rows = plan_rows(frame, ["name"])

    assert len(rows.frame) == MAX_ROWS
    assert rows.frame["e2e_ms_p95"].min() == 500 - MAX_ROWS
    columns = {"e2e_ms_mean": 1.0, "n": 1, "e2e_ms_p95_firm": True}
    assert "60 slowest of 500 cells" in avg_latency.finding(frame.assign(**columns), ["name"])


def test_captions_state_numbers_of_the_data(runs: dict[str, Material]) -> None:
    material = runs["27 cells"]
    frame, dims = cells_frame(material), list(material.dimensions)
    slow = frame.loc[frame["e2e_ms_mean"].idxmax()]

    assert f": {slow['e2e_ms_mean']:,.0f} ms (p95" in avg_latency.finding(frame, dims)
    over = int((frame["ttft_ms_p95"] > 600).sum())
    assert f"TTFT p95 exceeds 600 ms in {over} of 27 cells" in percentiles.finding(frame, dims, {"ttft_ms": 600.0})
    best = frame["achieved_rps"].max()
    assert f"{best:.1f} requests/s" in throughput.finding(frame, dims)


def test_a_caption_says_how_latency_grows_with_size(tmp_path: Path) -> None:
    cells = [CellSpec("s", n=90, ttft_ms=100.0, ttft_sigma=0.0), CellSpec("l", n=90, ttft_ms=300.0, ttft_sigma=0.0)]
    cells = [cells[0], CellSpec(**{**vars(cells[1]), "prompt_size": "large"})]
    material = material_of(build_run(tmp_path / "run", cells))
    how = prompt_size.split(material.cells, material.dimensions)

    assert "median TTFT is 3.0 times as long" in prompt_size.finding(sizes_frame(material, how.facets, how.hue), how)


def test_panels_beyond_six_are_pooled() -> None:
    material = material_of_levels(range(10, 90, 10))

    assert prompt_size.split(material.cells, material.dimensions).pooled
    few = material_of_levels(range(10, 70, 10))
    assert not prompt_size.split(few.cells, few.dimensions).pooled


def material_of_levels(levels: range) -> Material:
    tiers, sizes = ("default", "flex"), ("small", "large")
    entries = [
        {"cell": f"{t}-{s}-{u}", "service_tier": t, "prompt_size": s, "users": u, "load_model": "closed"}
        for t in tiers
        for s in sizes
        for u in levels
    ]
    cells = tuple(cell_results(entries, []))
    return Material({}, {}, pd.DataFrame(), cells, tuple(varying(cells)))


@CANVASES
def test_the_overview_has_four_strips_on_one_time_axis(runs: dict[str, Material], canvas: style.Canvas) -> None:
    figure = draw(runs["6 cells"], "overview", canvas)

    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "arrivals/s", "time to first token, ms", "whole response, ms", "failures/s",
    ]  # fmt: skip
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert figure.axes[1].get_yscale() == "log"


def test_the_overview_of_one_cell_names_its_phases(tmp_path: Path) -> None:
    material = material_of(build_run(tmp_path / "run", [CellSpec("a", n=300, rate_rps=20.0, pattern="spike")]))
    figure = draw(material, "overview", style.WIDE)

    assert {"baseline", "spike", "recovery"} <= set(texts(figure))


def test_the_overview_says_when_throttling_began_and_how_much_there_was(tmp_path: Path) -> None:
    records = [make_record(i, outcome="throttled" if i >= 50 else "ok") for i in range(100)]
    time = timeline(material_of(write_run(tmp_path / "run", {"a": records})))

    assert "First throttles in the window from 0:10; 50.0 % of all attempts throttled." in overview.finding(time)


def test_a_promise_far_above_all_values_does_not_flatten_them(tmp_path: Path) -> None:
    records = [make_record(i, ttft_ms=10.0, e2e_ms=20.0) for i in range(90)]
    material = material_of(write_run(tmp_path / "run", {"a": records}))
    figure = draw(material, "overview", style.WIDE)

    assert limit_lines(material)["e2e_ms"]
    assert figure.axes[2].get_ylim()[1] < 200


@pytest.mark.parametrize("odd", ["no cells", "one request", "all failed", "nothing sent", "equal cells"])
def test_every_chart_of_every_odd_run_is_drawn_with_a_caption(odd_runs: dict[str, Rendered], odd: str) -> None:
    material = material_of(odd_runs[odd].directory)
    for chart in all_charts(material, timeline(material)):
        assert chart.caption.endswith(".")
        assert "nan" not in re.findall(r"\w+", chart.caption)
        picture = odd_runs[odd].directory / "charts" / f"{chart.name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert ET.fromstring(picture.with_suffix(".svg").read_text()).tag.endswith("svg")  # noqa: S314 - our own


def test_cells_of_the_suite_are_grouped_and_every_group_has_its_tiers(suite_run: Rendered) -> None:
    material = material_of(suite_run.directory)
    rows = plan_rows(cells_frame(material), list(material.dimensions))

    assert [text for _, text in rows.headings][:2] == ["small · 30 users", "small · 60 users"]
    assert len(rows.headings) == 9
    assert list(rows.frame["row"])[:3] == ["default", "priority", "flex"]
    assert rows.frame["y"].is_monotonic_increasing
