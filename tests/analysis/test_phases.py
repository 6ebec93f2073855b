"""The measured window: told by the load generator, and by the records where it could not tell."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.inputs import LoadInfo, Phase, read_load_info
from analysis.phases import CellWindow, measured_seconds, window_of
from analysis.records import load_records
from tests.support.run_builder import STARTED_AT as T0
from tests.support.run_builder import make_record, write_json, write_records

PHASES = (
    Phase("ramp", T0, T0 + 2), Phase("warmup", T0 + 2, T0 + 5), Phase("baseline", T0 + 5, T0 + 15),
    Phase("spike", T0 + 15, T0 + 20), Phase("recovery", T0 + 20, T0 + 30), Phase("drain", T0 + 30, T0 + 33),
)  # fmt: skip


def frame_of(directory: Path, *records: dict[str, Any]) -> Any:
    write_records(directory, "a", records)
    return load_records(directory).frame


def test_ramp_warmup_and_drain_are_left_out(tmp_path: Path) -> None:
    window = window_of(LoadInfo(PHASES, ended_at=T0 + 33), frame_of(tmp_path))

    assert window.seconds() == 25.0
    assert window.seconds("spike") == 5.0
    assert window.seconds("warmup") is None
    assert not window.estimated
    assert window.covers(np.array([T0 + 4, T0 + 5, T0 + 29, T0 + 31])).tolist() == [False, True, True, False]


def test_a_plan_that_was_never_closed_is_cut_at_the_last_record(tmp_path: Path) -> None:
    records = frame_of(tmp_path, make_record(0, at=6.0), make_record(1, at=16.0, e2e_ms=2000.0, phase="spike"))

    window = window_of(LoadInfo(PHASES, ended_at=None), records)

    assert window.seconds("baseline") == 10.0
    assert window.seconds("spike") == pytest.approx(3.0)
    assert window.seconds("recovery") is None
    assert window.estimated


def test_a_test_without_an_end_is_as_long_as_its_records(tmp_path: Path) -> None:
    records = frame_of(tmp_path, make_record(0, at=1.0), make_record(1, at=9.0, e2e_ms=1000.0))

    window = window_of(LoadInfo((Phase("steady", T0, None),), ended_at=None), records)

    assert window.seconds() == pytest.approx(10.0)


def test_without_load_json_the_records_tell(tmp_path: Path) -> None:
    records = frame_of(
        tmp_path,
        make_record(0, at=0.0, phase="warmup"),
        make_record(1, at=2.0),
        make_record(2, at=8.0, outcome="dropped"),
        make_record(3, at=3.0, e2e_ms=1000.0),
    )

    window = window_of(LoadInfo(), records)

    assert window.seconds() == pytest.approx(6.0)
    assert window.estimated


def test_nothing_known_is_none_and_not_zero(tmp_path: Path) -> None:
    empty = window_of(LoadInfo(), frame_of(tmp_path))
    never_began = window_of(LoadInfo(PHASES, ended_at=None), frame_of(tmp_path))

    assert empty.seconds() is None
    assert never_began.seconds() is None
    assert measured_seconds({"a": empty}, ["a", "b"]) is None


def test_cells_add_up() -> None:
    windows = {
        "a": CellWindow((Phase("steady", T0, T0 + 10),), estimated=False),
        "b": CellWindow((Phase("steady", T0 + 20, T0 + 25), Phase("spike", T0 + 25, T0 + 27)), estimated=False),
        "c": CellWindow((), estimated=True),
    }

    assert measured_seconds(windows, windows) == 17.0
    assert measured_seconds(windows, ["a", "b"], "steady") == 15.0


def test_time_that_several_cells_share_counts_once() -> None:
    spans = {"a": (0, 10), "b": (5, 12), "c": (6, 7), "d": (20, 25)}
    windows = {
        name: CellWindow((Phase("steady", T0 + start, T0 + end),), estimated=False)
        for name, (start, end) in spans.items()
    }

    assert measured_seconds(windows, windows) == 17.0
    assert measured_seconds(windows, ["b", "c"]) == 7.0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"phases": 3}', '{"phases": [3, {"name": "x"}, null]}'])
def test_a_broken_load_json_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cells" / "a" / "load.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)

    assert read_load_info(tmp_path, "a") == LoadInfo()
    assert read_load_info(tmp_path, "none") == LoadInfo()


def test_instants_may_be_numbers_or_iso_texts(tmp_path: Path) -> None:
    path = tmp_path / "cells" / "a" / "load.json"
    write_json(path, {"ended_at": "2027-01-15T08:00:30Z", "phases": [
        {"name": "steady", "started_at": "2027-01-15T08:00:00+00:00", "ended_at": T0 + 30}]})  # fmt: skip

    assert read_load_info(tmp_path, "a") == LoadInfo((Phase("steady", T0, T0 + 30),), ended_at=T0 + 30)
