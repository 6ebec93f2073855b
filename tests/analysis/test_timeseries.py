"""Windows of time: every event in its own window, percentiles only where there is enough."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.timeseries import per_window
from tests.support.analysed import analyse_cell
from tests.support.run_builder import STARTED_AT, CellSpec, make_record, synthetic_records


def series(directory: Path, records: list[dict[str, Any]], width_s: float = 1.0, **options: Any) -> pd.DataFrame:
    return per_window(analyse_cell(directory, records).records, width_s, **options)


def test_events_fall_into_the_window_of_their_own_instant(tmp_path: Path) -> None:
    frame = series(
        tmp_path,
        [
            make_record(0, at=0.0, lag_ms=1500.0, ttft_ms=1900.0, e2e_ms=2500.0),
            make_record(1, at=0.9, outcome="throttled", e2e_ms=50.0),
            make_record(2, at=1.0, outcome="server_error", e2e_ms=50.0),
            make_record(3, at=3.2, outcome="dropped"),
        ],
    )

    assert frame.index.tolist() == [0.0, 1.0, 2.0, 3.0]
    columns = ("offered", "started", "completed", "ok", "throttled", "errors", "dropped")
    assert {name: frame[name].tolist() for name in columns} == {
        "offered": [2, 1, 0, 1], "started": [1, 2, 0, 0], "completed": [1, 1, 1, 0], "ok": [1, 0, 0, 0],
        "throttled": [1, 0, 0, 0], "errors": [0, 1, 0, 0], "dropped": [0, 0, 0, 1],
    }  # fmt: skip


def test_percentiles_equal_numpy_and_are_missing_where_samples_are_few(tmp_path: Path) -> None:
    def window(start: int, count: int) -> list[dict[str, Any]]:
        return [make_record(100 * start + i, at=start + i / 200, ttft_ms=200.0 + i) for i in range(count)]

    frame = series(tmp_path, [*window(0, 80), *window(1, 20), *window(2, 5)])

    assert frame["n"].tolist()[:3] == [80, 20, 5]
    assert frame["ttft_p50_ms"].iloc[0] == pytest.approx(np.percentile(200.0 + np.arange(80), 50), abs=1e-3)
    assert frame["ttft_p95_ms"].iloc[0] == pytest.approx(np.percentile(200.0 + np.arange(80), 95), abs=1e-3)
    assert frame["ttft_p50_ms"].notna().tolist()[:3] == [True, True, False]
    assert frame["ttft_p95_ms"].notna().tolist()[:3] == [True, False, False]


def test_the_origin_may_be_given(tmp_path: Path) -> None:
    frame = series(tmp_path, [make_record(0, at=5.5)], origin=STARTED_AT)

    assert frame["offered"].tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_no_records_no_windows(tmp_path: Path) -> None:
    frame = series(tmp_path, [])

    assert len(frame) == 0
    assert "ttft_p95_ms" in frame
    assert frame["offered"].dtype == np.int64


def test_a_width_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="positive width"):
        series(tmp_path, [], width_s=0.0)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """60 records, some of which did not end ok."""
    spec = CellSpec("a", n=60, outcomes={"throttled": 0.2, "dropped": 0.1, "server_error": 0.1})
    return analyse_cell(tmp_path_factory.mktemp("mixed"), synthetic_records(spec, 7, 0.0)).records


@given(width_s=st.floats(0.1, 100.0))
def test_no_event_is_lost_or_counted_twice_at_any_width(mixed: pd.DataFrame, width_s: float) -> None:
    frame = per_window(mixed, width_s)

    outcomes = list(mixed["outcome"])
    assert frame["offered"].sum() == 60
    assert frame["started"].sum() == frame["completed"].sum() == 60 - outcomes.count("dropped")
    assert frame["ok"].sum() == outcomes.count("ok")
    assert frame["throttled"].sum() == outcomes.count("throttled")
    assert frame["errors"].sum() == outcomes.count("server_error")


def test_a_retry_is_no_second_arrival(tmp_path: Path) -> None:
    records = [make_record(0, outcome="throttled"), make_record(1, message_id="m-000000", attempt=2, at=0.0)]

    assert list(per_window(analyse_cell(tmp_path, records).records, 10.0)["offered"]) == [1]
