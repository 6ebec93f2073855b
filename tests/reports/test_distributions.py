"""Charts of distributions: what their curves, bins and captions say of the data."""

import re
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports import style
from reports.charts.chart import Chart
from reports.charts.distributions import distribution_charts
from reports.course import course
from reports.curves import MAX_GROUPS, group_names, largest, spectra
from reports.grids import count_in, log_edges, whole_edges
from reports.material import Material, prepare
from reports.messages import messages
from reports.promises import promises
from reports.timeline import timeline
from tests.reports.pages import Rendered, material_of
from tests.reports.test_charts import assert_labels_are_apart
from tests.support.run_builder import make_record, write_run

CANVASES = pytest.mark.parametrize("canvas", [style.WIDE, style.NARROW], ids=["wide", "narrow"])
OBJECTIVES = [
    "ttft_ms p50 < 500ms",
    "ttft_ms p99 < 900ms",
    "ttft_ms p95 < 1ms for service_tier=flex",
    "e2e_ms max < 90s",
]


@pytest.fixture(scope="module")
def queued(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """1,200 messages of seven tiers: every other one waits 400 ms to be sent, one of ten is throttled."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(20, 400, 1200)
    records = [
        make_record(
            i, lag_ms=400.0 * (i % 2), ttft_ms=400.0 * (i % 2) + 300.0 + 10.0 * (i % 9),
            e2e_ms=1000.0 + 12.0 * int(size),
            requested_tier="漫画" if i < 600 else f"tier-{i % 6}", outcome="throttled" if i % 10 == 0 else "ok",
            **({} if i % 10 == 0 else {"output_tokens": int(size)}),
        )
        for i, size in enumerate(tokens)
    ]  # fmt: skip
    return material_of(write_run(tmp_path_factory.mktemp("queued") / "run", {"a": records}, objectives=OBJECTIVES))


@pytest.fixture(scope="module")
def charts(queued: Material) -> dict[str, Chart]:
    return {chart.name: chart for chart in distribution_charts(queued, timeline(queued))}


def drawn(chart: Chart, canvas: style.Canvas) -> Figure:
    with style.chart_style():
        figure = chart.draw(canvas)
        FigureCanvasAgg(figure).draw()
    return figure


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@CANVASES
def test_labels_of_an_axis_never_touch(charts: dict[str, Chart], canvas: style.Canvas) -> None:
    assert list(charts) == [
        "percentile_spectrum", "ecdf_by_tier", "latency_over_time_heatmap", "ttft_by_input_tokens",
        "e2e_by_output_tokens",
    ]  # fmt: skip
    for chart in charts.values():
        assert_labels_are_apart(drawn(chart, canvas))


def test_the_spectrum_shows_both_starts_where_they_differ_and_the_limits_as_steps(charts: dict[str, Chart]) -> None:
    figure = drawn(charts["percentile_spectrum"], style.WIDE)
    ttft = figure.axes[0]
    steps = next(line for line in ttft.lines if line.get_color() == style.LIGHT.limit)

    assert {"from the intended start", "from the sending (service alone)"} <= set(labels(figure))
    assert "whole response max limit 90,000 ms, off the axis" in labels(figure)
    assert list(np.asarray(steps.get_ydata())) == [900.0, 900.0, ttft.get_ylim()[1]]
    assert list(np.asarray(steps.get_xdata())) == pytest.approx([2.0, 100.0, 100.0])
    assert "p99 limit 900 ms holds as far as the curve goes" in charts["percentile_spectrum"].caption
    assert "waiting to be sent" in charts["percentile_spectrum"].caption


def test_a_spectrum_ends_where_single_requests_would_draw_it(queued: Material) -> None:
    frame = spectra(messages(queued), promises(queued))

    assert frame["n"].unique().tolist() == [1080]
    assert frame["share"].max() == pytest.approx(1.0 - 10 / 1080)


def test_limits_of_a_part_of_the_traffic_are_not_drawn_over_all(queued: Material) -> None:
    assert [(limit.metric, limit.share, limit.limit_ms) for limit in promises(queued)] == [
        ("e2e_ms", 1.0, 3_000.0), ("e2e_ms", 1.0, 90_000.0), ("ttft_ms", 0.5, 500.0), ("ttft_ms", 0.99, 900.0),
    ]  # fmt: skip


def test_lines_of_an_ecdf_say_n_and_what_has_no_latency(queued: Material, charts: dict[str, Chart]) -> None:
    found = messages(queued)
    groups = group_names(found, "tier")
    legend = labels(drawn(charts["ecdf_by_tier"], style.WIDE))

    assert groups["n"].sum() + groups["unanswered"].sum() == 1200
    assert len(groups) == 7
    assert len(largest(groups)) == MAX_GROUPS
    assert "漫画, n = 540 + 10.0 % unanswered" in legend
    assert "6 largest of 7 are drawn" in charts["ecdf_by_tier"].caption
    assert "120 unanswered (10.0 %)" in charts["ecdf_by_tier"].caption


def test_the_heat_map_counts_every_answer_once(queued: Material) -> None:
    found = course(queued, timeline(queued))

    assert found.n == 1080
    assert {name: int(grid.counts.sum()) for name, grid in found.grids.items()} == {"ttft_ms": 1080, "e2e_ms": 1080}
    assert found.upper == "p95"
    assert int(found.lines[found.lines["metric"] == "ttft_ms"]["n"].sum()) == 1080


def test_a_caption_says_what_a_thousand_tokens_cost(charts: dict[str, Chart]) -> None:
    assert "Whole response per 1,000 output tokens: 12,0" in charts["e2e_by_output_tokens"].caption
    assert "Too few sizes" in charts["ttft_by_input_tokens"].caption


@pytest.mark.parametrize("odd", ["no cells", "one request", "all failed", "nothing sent", "equal cells"])
def test_odd_runs_have_captions_without_gaps(odd_runs: dict[str, Rendered], odd: str) -> None:
    run = odd_runs[odd]
    material = prepare(run.analysis.summary, run.analysis.run, run.analysis.records)
    for chart in distribution_charts(material, timeline(material)):
        assert chart.caption.endswith(".")
        assert not re.search(r"\bnan\b", chart.caption)
        assert (run.directory / "charts" / f"{chart.name}.svg").stat().st_size < 60_000


def test_charts_of_many_cells_are_small(suite_run: Rendered) -> None:
    for name in ("percentile_spectrum", "ecdf_by_tier", "latency_over_time_heatmap", "e2e_by_output_tokens"):
        assert (suite_run.directory / "charts" / f"{name}.svg").stat().st_size < 60_000


@pytest.mark.parametrize("values", [[5.0], [0.01, 80_000.0], [300.0, 300.0, 301.0]])
def test_bins_hold_every_value_and_have_round_places(values: list[float]) -> None:
    edges: Any = log_edges(np.array(values))
    tokens: Any = whole_edges(np.ceil(np.array(values)), 10)

    assert edges[0] <= min(values)
    assert edges[-1] > max(values)
    assert np.allclose(np.diff(np.log10(edges)), np.log10(edges[1] / edges[0]))
    assert (tokens % 1.0 == 0.5).all()
    assert count_in(np.ceil(np.array(values)), np.array(values), tokens, edges).counts.sum() == len(values)
