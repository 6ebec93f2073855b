"""Curves over load: known knees, known breaking points, and none where there is no evidence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.saturation import LoadPoint, breaking_point, find_knee, kneedle, scaling
from analysis.summary import analyse
from tests.support.run_builder import CellSpec, build_run


def point(load: float, p95_ms: float = 1000.0, throughput: float | None = None, sla: float = 1.0) -> LoadPoint:
    return LoadPoint(
        cell=f"c{load:g}", load=load, offered_rps=load, throughput_rps=load if throughput is None else throughput,
        goodput_rps=None, throttle_rate=0.0, sla_compliance=sla, messages=500, ttft_p95_ms=None, e2e_p50_ms=None,
        e2e_p95_ms=p95_ms, e2e_p95_ci95=(p95_ms * 0.95, p95_ms * 1.05),
    )  # fmt: skip


def test_kneedle_finds_the_knee_of_the_papers_example() -> None:
    """Satopaa et al., figure 2: y = -1/x + 5 has its knee at x = 0.22; mirrored it is convex and rising."""
    x = np.linspace(0.0, 1.0, 10)
    y = -1.0 / (x + 0.1) + 5.0
    mirrored = (y.max() - y)[::-1]

    assert 1.0 - x[kneedle(x, mirrored) or 0] == pytest.approx(0.22, abs=0.01)


@pytest.mark.parametrize("knee", [20.0, 40.0, 60.0])
def test_a_queue_bends_where_it_fills(knee: float) -> None:
    points = [point(load, 1000.0 + max(0.0, load - knee) * 200.0) for load in range(10, 90, 10)]

    assert find_knee(points) == (knee, None)


def test_three_loads_are_enough_for_a_plain_knee() -> None:
    assert find_knee([point(30, 900), point(60, 950), point(90, 4000)]) == (60.0, None)


@pytest.mark.parametrize(
    ("latencies", "reason"),
    [
        ([1000.0, 1010.0, 990.0, 1020.0], "no more than chance"),
        ([1000.0, 2000.0, 3000.0, 4000.0], "rises evenly"),
        ([1000.0, 4000.0], "2 loads with enough samples for a p95; 3 needed"),
    ],
)
def test_where_there_is_no_knee_the_reason_is_given(latencies: list[float], reason: str) -> None:
    load, why = find_knee([point(10.0 * (i + 1), p95_ms) for i, p95_ms in enumerate(latencies)])

    assert load is None
    assert reason in (why or "")


@given(st.lists(st.floats(1.0, 1e4), min_size=3, max_size=12))
def test_a_knee_is_never_at_an_end(values: list[float]) -> None:
    found = kneedle(np.arange(len(values), dtype=float), np.array(values))

    assert found is None or 0 < found < len(values) - 1


def test_the_breaking_point_lies_between_the_last_kept_and_the_first_missed_load() -> None:
    found = breaking_point([point(10), point(20), point(30, sla=0.97), point(40, sla=0.5)])

    assert (found["load"], found["last_good_load"], found["reason"]) == (30, 20, None)


@pytest.mark.parametrize(
    ("shares", "reason"),
    [([1.0, 1.0], "the breaking point is higher"), ([0.5, 0.4], "the breaking point is lower")],
)
def test_a_breaking_point_outside_the_loads_is_said_to_be(shares: list[float], reason: str) -> None:
    found = breaking_point([point(10.0 * (i + 1), sla=share) for i, share in enumerate(shares)])

    assert reason in found["reason"]


@pytest.mark.parametrize(
    ("throughputs", "kind", "from_load"),
    [
        ([10, 20, 30, 40], "linear", None),
        ([10, 19.5, 28.5, 38], "linear", None),
        ([10, 20, 24, 26], "degraded", 30.0),
        ([10, 20, 25, 18], "retrograde", 40.0),
    ],
)
def test_scaling_is_named_with_the_load_from_which_on(
    throughputs: list[float], kind: str, from_load: float | None
) -> None:
    found = scaling([point(10.0 * (i + 1), throughput=value) for i, value in enumerate(throughputs)])

    assert (found["kind"], found["from_load"]) == (kind, from_load)


def test_nothing_answered_is_no_scaling() -> None:
    assert scaling([point(10, throughput=0.0), point(20, throughput=0.0)])["kind"] is None


def suite(folder: Path, **more: Any) -> list[CellSpec]:
    loads = [(5.0, 300.0), (10.0, 310.0), (20.0, 3200.0)]
    # The order of the suite is shuffled: the curve must not be.
    return [
        CellSpec(f"r{rate:g}", n=150, rate_rps=rate, ttft_ms=ttft_ms, ttft_sigma=0.1, **more)
        for rate, ttft_ms in (loads[2], loads[0], loads[1])
    ]


def test_a_run_tells_its_curve_in_order_of_load_and_its_findings_name_it(tmp_path: Path) -> None:
    build_run(tmp_path, suite(tmp_path))
    summary = analyse(tmp_path).summary

    (series,) = summary["saturation"]
    assert [p["load"] for p in series["points"]] == [5.0, 10.0, 20.0]
    assert series["load"] == "rate_rps"
    assert series["knee"]["load"] == 10.0
    assert (series["breaking_point"]["load"], series["breaking_point"]["last_good_load"]) == (20.0, 10.0)
    assert any("bends upwards at 10 arrivals/s" in found["finding"] for found in summary["recommendations"])


def test_cells_of_one_load_are_no_curve(tmp_path: Path) -> None:
    build_run(tmp_path, [CellSpec("a"), CellSpec("b", service_tier="flex", rate_rps=9.0)])

    assert analyse(tmp_path).summary["saturation"] == []
