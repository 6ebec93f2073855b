from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.frames import cells_frame, sizes_frame
from tests.reports.pages import material_of
from tests.support.run_builder import CellSpec, build_run, make_record, write_run


@pytest.fixture
def two_cells(tmp_path: Path) -> pd.DataFrame:
    return cells_frame(material_of(build_run(tmp_path / "run", [CellSpec("few", n=40), CellSpec("many", n=200)])))


def test_a_percentile_of_too_few_requests_is_there_but_not_firm(two_cells: pd.DataFrame) -> None:
    few, many = (two_cells[two_cells["name"] == name].iloc[0] for name in ("few", "many"))

    assert few["ttft_ms_p50_firm"]
    assert not few["ttft_ms_p95_firm"]
    assert few["ttft_ms_p95"] > few["ttft_ms_p50"]
    assert pd.isna(few["ttft_ms_p95_low"])
    assert many["ttft_ms_p95_firm"]
    assert many["ttft_ms_p95_low"] < many["ttft_ms_p95"] < many["ttft_ms_p95_high"]


def test_a_cell_without_answers_has_no_latency_not_zero(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", {"a": [make_record(i, outcome="throttled") for i in range(9)]})
    row = cells_frame(material_of(directory)).iloc[0]

    assert row["n"] == 0
    assert row["requests"] == 9
    assert all(pd.isna(row[name]) for name in ("ttft_ms_mean", "ttft_ms_p50", "e2e_ms_p95"))


def test_a_run_without_cells_gives_an_empty_frame_of_the_same_columns(tmp_path: Path, two_cells: pd.DataFrame) -> None:
    frame = cells_frame(material_of(write_run(tmp_path / "none", {}, cells=[])))

    assert frame.empty
    assert set(frame.columns) == set(two_cells.columns)


def test_percentiles_over_several_cells_come_from_the_requests_not_from_percentiles(tmp_path: Path) -> None:
    fast = [make_record(i, cell="a", ttft_ms=100.0 + i) for i in range(90)]
    slow = [make_record(i, cell="b", ttft_ms=900.0 + i) for i in range(10)]
    material = material_of(write_run(tmp_path / "run", {"a": fast, "b": slow}))

    frame = sizes_frame(material, facets=(), hue=None)
    ttft = frame[frame["metric"] == "ttft_ms"].iloc[0]

    assert ttft["n"] == 100
    merged = [100.0 + i for i in range(90)] + [900.0 + i for i in range(10)]
    assert ttft["p95"] == pytest.approx(np.quantile(merged, 0.95), abs=0.01)


def test_warm_up_requests_are_no_part_of_any_frame(tmp_path: Path) -> None:
    records = [make_record(i, phase="warmup", ttft_ms=9000.0) for i in range(50)]
    records += [make_record(50 + i, ttft_ms=200.0) for i in range(80)]
    material = material_of(write_run(tmp_path / "run", {"a": records}))

    assert cells_frame(material).iloc[0]["ttft_ms_mean"] == pytest.approx(200.0, abs=0.01)
    assert sizes_frame(material, (), None)["p95"].max() < 9000.0
