"""What the charts of load, recovery and the generator's condition show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports import style
from reports.charts import generator_health, latency_by_load, recovery
from reports.charts.catalogue import all_charts
from reports.generator import generator_health as health_of
from reports.load_series import LoadSeries, load_series
from reports.material import Material
from reports.spikes import spikes
from reports.timeline import timeline
from tests.reports.pages import Rendered, material_of
from tests.reports.test_charts import CANVASES, assert_labels_are_apart, texts
from tests.support.run_builder import CellSpec, build_run, make_record, write_run

NEW = (
    "latency_by_load", "recovery", "throttling_over_time", "cost_by_configuration", "cost_what_if",
    "latency_by_query_type", "generator_health",
)  # fmt: skip


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Three rates, the second of which breaks the promise while the third answers less than it; and a spike."""
    cells = [
        CellSpec("r5", n=60, rate_rps=5.0),
        CellSpec("r10", n=100, rate_rps=10.0, outcomes={"throttled": 0.1}),
        CellSpec("r20", n=160, rate_rps=20.0, outcomes={"throttled": 0.75}),
        CellSpec("spike", n=1000, rate_rps=50.0, pattern="spike", ttft_sigma=0.0, output_tokens=2),
    ]
    return material_of(build_run(tmp_path_factory.mktemp("ladder") / "run", cells))


@pytest.fixture(scope="module")
def series(ladder: Material) -> LoadSeries:
    (found,) = load_series(ladder)
    return found


def drawn(figure: Figure) -> Figure:
    with style.chart_style():
        FigureCanvasAgg(figure).draw()
    return figure


@pytest.fixture(scope="module")
def load_figure(series: LoadSeries) -> Figure:
    with style.chart_style():
        return drawn(latency_by_load.latency_by_load([series], 3.0, style.WIDE))


@CANVASES
@pytest.mark.parametrize("name", NEW)
def test_labels_never_touch_and_stay_inside(ladder: Material, name: str, canvas: style.Canvas) -> None:
    chart = next(chart for chart in all_charts(ladder, timeline(ladder)) if chart.name == name)
    with style.chart_style():
        figure = drawn(chart.draw(canvas))

    assert_labels_are_apart(figure)
    for legend in figure.legends:
        assert legend.get_window_extent().x1 <= figure.bbox.x1 + 1


def test_points_are_joined_in_order_of_load_where_throughput_folds_back(load_figure: Figure) -> None:
    answered = load_figure.axes[1].lines[0]
    rates = list(answered.get_ydata())

    assert list(answered.get_xdata()) == [5.0, 10.0, 20.0]
    assert rates[2] < rates[1]


def test_the_loads_that_kept_and_missed_the_promise_are_marked(load_figure: Figure) -> None:
    marks = {text.get_text(): text.xy[0] for text in load_figure.axes[0].texts}  # type: ignore[attr-defined]

    assert marks == {"✓": 5.0, "✗": 10.0}


def test_a_percentile_of_too_few_answers_is_hollow_and_n_is_below_each_load(load_figure: Figure) -> None:
    hollow = [line for line in load_figure.axes[0].lines if line.get_markerfacecolor() == style.LIGHT.surface]

    assert {x for line in hollow for x in line.get_xdata()} == {5.0, 20.0}
    assert "5\nn 60" in texts(load_figure)


def test_losses_have_a_panel_of_their_own_only_where_there_are_any(series: LoadSeries, load_figure: Figure) -> None:
    whole = replace(series, points=series.points.assign(throttle_rate=0.0, error_rate=0.0))

    assert [axes.get_ylabel() for axes in load_figure.axes] == ["latency, ms", "requests/s", "% of attempts"]
    with style.chart_style():
        assert len(latency_by_load.latency_by_load([whole], 3.0, style.WIDE).axes) == 2


def test_the_caption_says_where_the_promise_breaks_and_why_there_is_no_knee(series: LoadSeries) -> None:
    text = latency_by_load.finding([series], 3.0)

    assert "The SLA (99 % within 3 s) is first missed at 10/s, and last kept at 5/s. No knee: " in text
    bent = replace(series, knee=10.0)
    assert "bends upwards at 10/s" in latency_by_load.finding([bent], 3.0)


def test_of_many_families_those_that_break_first_are_drawn(series: LoadSeries) -> None:
    many = [replace(series, label=f"f{i}", first_bad=20.0 - i) for i in range(8)]

    assert "The 6 of 8 families that break first are drawn." in latency_by_load.finding(many, 3.0)
    assert "f7 breaks first. The SLA (99 % within 3 s) is first missed at 13/s" in latency_by_load.finding(many, 3.0)


def test_users_are_in_step_with_the_load_of_the_fewest_users(series: LoadSeries) -> None:
    users = replace(series, unit="users")
    with style.chart_style():
        lines = latency_by_load.latency_by_load([users], 3.0, style.WIDE).axes[1].lines
    (ideal,) = [line for line in lines if line.get_color() == style.LIGHT.ink]

    assert users.at(1) == "1 user"
    assert list(ideal.get_ydata())[1] == pytest.approx(users.points["throughput_rps"].iloc[0] * 20.0 / 5.0, rel=0.01)


def test_windows_of_a_recovery_never_reach_over_an_edge_of_the_spike(ladder: Material) -> None:
    spike = next(found for found in spikes(ladder) if found.metric == "e2e_ms")
    windows = spike.windows

    assert int(windows["n"].sum()) == 1000
    assert int(windows.loc[windows["at_s"].between(spike.started_s, 0.0), "n"].sum()) == 200
    assert (windows["firm"] == (windows["n"] >= 72)).all()


def test_the_recovery_is_drawn_where_the_summary_has_it(ladder: Material) -> None:
    found = [spike for spike in spikes(ladder) if spike.recovery_s is not None]
    with style.chart_style():
        axes = recovery.recovery(found, style.WIDE).axes[0]
    upright = [line for line in axes.lines if list(line.get_xdata()) == [found[0].recovery_s] * 2]
    promise = [line.get_ydata()[0] for line in axes.lines if line.get_color() == style.LIGHT.limit]

    assert len(upright) == 1
    assert promise == [pytest.approx((found[0].baseline_ms or 0.0) * 1.1)]
    assert f"{found[0].recovery_s:g} s after the spike" in recovery.finding(found)


def test_a_recovery_that_is_not_known_says_why(ladder: Material) -> None:
    lost = [replace(spike, recovery_s=None, reason="x") for spike in spikes(ladder)]

    assert "TTFT p95: no time of recovery, x." in recovery.finding(lost)


def test_calls_in_flight_are_the_time_that_calls_were_open(tmp_path: Path) -> None:
    records = [make_record(i, at=float(i), e2e_ms=500.0) for i in range(20)]
    material = material_of(write_run(tmp_path / "run", {"a": records}))
    windows = health_of(material, timeline(material)).windows

    assert windows["in_flight_recorded"].to_numpy() == pytest.approx(np.full(10, 0.5), abs=1e-3)
    assert windows["in_flight"].isna().all()  # no health file: a gap, not zero


def test_the_highest_lag_of_a_window_is_kept(ladder: Material) -> None:
    health = ladder.health.assign(hub_lag_ms=1.0)
    health.loc[7, "hub_lag_ms"] = 321.0
    changed = replace(ladder, health=health)
    found = health_of(changed, timeline(changed))

    assert found.windows["hub_lag_ms"].max() == 321.0
    assert "the event loop was at most 321 ms late" in generator_health.finding(found)


def test_the_generators_limits_are_those_of_its_checks(ladder: Material) -> None:
    found = health_of(ladder, timeline(ladder))

    assert found.limits == {"send_lag_ms": (20.0, 200.0), "hub_lag_ms": (20.0, 200.0), "cpu_pct": (75.0, 95.0)}


def test_a_run_of_one_load_without_a_spike_has_neither_chart(small_run: Rendered) -> None:
    records = [make_record(i) for i in range(10)]
    empty = Material({}, {"saturation": [], "cells": []}, pd.DataFrame(records), (), ())

    assert not list(latency_by_load.charts(empty))
    assert not list(recovery.charts(empty))
    assert (small_run.directory / "charts" / "recovery.svg").exists()
