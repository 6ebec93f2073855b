from pathlib import Path
from typing import Any

import pytest

from reports.timeline import MAX_DOTS, Band, joined, limit_lines, p95_limits, timeline
from tests.reports.pages import material_of
from tests.support.run_builder import CellSpec, build_run, make_record, write_run


def run_of(tmp_path: Path, n: int, every_s: float, **run: Any) -> Any:
    records = [make_record(i, at=i * every_s) for i in range(n)]
    return material_of(write_run(tmp_path / "run", {"a": records}, **run))


@pytest.mark.parametrize(("n", "every_s", "width_s"), [(50, 0.2, 1), (600, 0.5, 5), (100, 60.0, 60)])
def test_windows_are_as_narrow_as_leaves_at_most_120(tmp_path: Path, n: int, every_s: float, width_s: float) -> None:
    time = timeline(run_of(tmp_path, n, every_s))

    assert time.width_s == width_s
    assert len(time.windows) <= 122


def test_percentile_windows_are_wide_enough_for_a_p95_where_the_run_is_long_enough(tmp_path: Path) -> None:
    time = timeline(run_of(tmp_path, 1000, 0.1))

    assert time.percentile_width_s == 10
    assert time.percentiles["ttft_p95_ms"].notna().sum() >= 9


def test_a_slow_run_falls_back_to_medians_and_invents_nothing(tmp_path: Path) -> None:
    time = timeline(run_of(tmp_path, 60, 0.5))

    assert time.percentiles["ttft_p95_ms"].isna().all()
    assert time.percentiles["ttft_p50_ms"].notna().any()


def test_percentiles_never_mix_two_cells_and_lines_break_between_them(tmp_path: Path) -> None:
    fast = [make_record(i, cell="a", at=i * 0.1, ttft_ms=100.0) for i in range(100)]
    slow = [make_record(i, cell="b", at=10.5 + i * 0.1, ttft_ms=900.0) for i in range(100)]
    time = timeline(material_of(write_run(tmp_path / "run", {"a": fast, "b": slow})))

    values = set(time.percentiles["ttft_p50_ms"].dropna().round(1))
    assert values == {100.0, 900.0}
    first, second = (
        time.percentiles.index[time.percentiles["ttft_p50_ms"].round(1) == value] for value in (100.0, 900.0)
    )
    assert time.percentiles["ttft_p50_ms"].loc[first.max() : second.min()].isna().any()


def test_bands_cover_what_was_measured_and_bursts_are_stronger(tmp_path: Path) -> None:
    cells = [
        CellSpec("a", n=100, warmup_n=20, warmup_s=4.0),
        CellSpec("b", n=100, rate_rps=10.0, pattern="spike", prompt_size="large"),
    ]
    time = timeline(material_of(build_run(tmp_path / "run", cells)))
    named = [band for band in time.bands if band.label]

    assert [(band.number, "small" in band.label) for band in named] == [("1", True), ("2", False)]
    assert named[0].start_s == pytest.approx(4.0, abs=0.2)
    assert [band.strong for band in time.bands].count(True) == 1


def test_cells_that_ran_at_once_share_a_band() -> None:
    bands = [Band(0.0, 5.0, "small", "1", False), Band(1.0, 4.0, "large", "2", False), Band(6.0, 9.0, "x", "3", False)]

    assert joined(bands) == [Band(0.0, 5.0, "small + large", "1+2", False), bands[2]]


def test_single_requests_are_shown_until_they_are_too_many(tmp_path: Path) -> None:
    few, many = timeline(run_of(tmp_path / "few", 50, 0.2)), timeline(run_of(tmp_path / "many", MAX_DOTS + 1, 0.01))

    assert (len(few.dots), few.dot_name) == (50, "each request")
    assert many.dot_name == "slowest"
    assert len(many.dots) == len(many.windows[many.windows["ok"] > 0])


def test_only_promises_about_all_traffic_become_lines(tmp_path: Path) -> None:
    objectives = [
        "ttft_ms p95 < 600ms", "ttft_ms p95 < 500ms", "e2e_ms p95 < 1500ms where output_tokens < 500",
        "ttft_ms p95 < 100ms for service_tier=flex", "ttft_ms p50 < 10ms", "what is this",
    ]  # fmt: skip
    material = run_of(tmp_path, 90, 0.2, objectives=objectives, sla_s=3.0)

    assert p95_limits(material) == {"ttft_ms": 500.0}
    assert [(line.value, line.name) for line in limit_lines(material)["e2e_ms"]] == [(3000.0, "SLA 3 s")]


def test_a_run_without_records_has_an_empty_timeline(tmp_path: Path) -> None:
    time = timeline(material_of(write_run(tmp_path / "run", {}, cells=[])))

    assert time.windows.empty
    assert time.percentiles.empty
    assert time.bands == ()
