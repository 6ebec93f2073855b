"""requests.parquet: every field of every sound record, read instead of unchanged files, never trusted blindly."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.loading import load_records
from analysis.record_schema import LATENCY_METRICS, SCHEMA
from analysis.summary import analyse
from tests.support.run_builder import CellSpec, build_run, make_record, write_records, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    spec = CellSpec("a", n=60, outcomes={"throttled": 0.2, "dropped": 0.1}, processes=2)
    return build_run(tmp_path, [spec, CellSpec("b", n=20)])


def stored(directory: Path) -> pd.DataFrame:
    return pd.read_parquet(directory / "requests.parquet")


def lines(directory: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(directory.glob("cells/*/requests-*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def test_it_holds_every_field_of_every_record_and_the_latencies(run: Path) -> None:
    records = analyse(run).records

    frame = stored(run)

    assert list(frame.columns) == [*SCHEMA.names, *LATENCY_METRICS]
    written = [{name: None if pd.isna(value) else value for name, value in row.items()} for _, row in frame.iterrows()]
    assert [{name: row[name] for name in SCHEMA.names} for row in written] == lines(run)
    ordered = frame.sort_values(["cell", "process", "seq"], ignore_index=True)
    for name in LATENCY_METRICS:
        pd.testing.assert_series_equal(ordered[name], records[name])


def test_unchanged_files_are_not_read_again_and_give_the_same_summary(run: Path) -> None:
    first = analyse(run)
    before = (run / "requests.parquet").stat()
    broken = run / "cells" / "b" / "requests-0.jsonl"
    times = broken.stat()
    broken.write_bytes(b"x" * times.st_size)
    os.utime(broken, ns=(times.st_atime_ns, times.st_mtime_ns))  # by size and time it is the same file

    again = analyse(run)

    assert (run / "requests.parquet").stat().st_mtime_ns == before.st_mtime_ns
    assert again.summary == first.summary
    pd.testing.assert_frame_equal(again.records, first.records)


def test_a_changed_file_is_read_again(run: Path) -> None:
    analyse(run)
    write_records(run, "b", [make_record(20, cell="b", at=100.0)])

    assert len(analyse(run).records) == len(stored(run)) == 81


def test_another_run_id_is_another_reading(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": [make_record(0), make_record(1, run_id="run-2")]})
    load_records(tmp_path, "run-1", keep_parquet=True)

    assert load_records(tmp_path, "run-2").frame["seq"].tolist() == [1]


def test_rows_that_do_not_count_are_not_in_it_and_their_lines_stay_counted(tmp_path: Path) -> None:
    sound = [make_record(seq) for seq in range(3)]
    far = make_record(7) | dict.fromkeys(("intended_at", "started_at", "first_token_at", "ended_at"), None)
    wrong = [make_record(1), make_record(2, message_id="other"), far | {"intended_at": 5.0}]
    write_run(tmp_path, {"a": [*sound, *wrong], "b": [make_record(9)]})

    first = load_records(tmp_path, keep_parquet=True)
    again = load_records(tmp_path)

    assert stored(tmp_path)["seq"].tolist() == first.frame["seq"].tolist() == [0, 1, 2]
    reasons = {"duplicate": 1, "impossible value": 1, "repeated seq": 1}
    assert first.skipped_by_file == again.skipped_by_file == {
        "cells/a/requests-0.jsonl": reasons,
        "cells/b/requests-0.jsonl": {"record of another cell": 1},
    }  # fmt: skip
    pd.testing.assert_frame_equal(again.frame, first.frame)


def test_columns_kept_without_their_files_are_still_the_run(run: Path) -> None:
    first = analyse(run)
    for path in run.glob("cells/*/requests-*.jsonl"):
        path.unlink()

    pd.testing.assert_frame_equal(analyse(run).records, first.records)


@pytest.mark.parametrize("content", [b"", b"PAR1 nothing PAR1", None])
def test_a_file_that_is_none_of_ours_is_replaced(run: Path, content: bytes | None) -> None:
    path = run / "requests.parquet"
    if content is None:
        pd.DataFrame({"a": [1]}).to_parquet(path)
    else:
        path.write_bytes(content)

    assert len(analyse(run).records) == len(stored(run)) == 80


def test_a_torn_file_is_read_from_the_records_instead(run: Path) -> None:
    first = analyse(run)
    path = run / "requests.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + bytes(len(whole) // 4) + whole[50 + len(whole) // 4 :])

    pd.testing.assert_frame_equal(analyse(run).records, first.records)


def test_nothing_but_the_file_is_left_behind(run: Path) -> None:
    analyse(run)

    assert {path.name for path in run.iterdir()} == {"run.json", "cells", "requests.parquet"}


def test_a_run_without_records_has_one_without_rows(tmp_path: Path) -> None:
    write_run(tmp_path, {}, cells=[])

    analyse(tmp_path)

    assert len(stored(tmp_path)) == 0


def test_some_columns_are_those_of_all_with_or_without_it(run: Path) -> None:
    whole = load_records(run).frame
    from_files = load_records(run, columns=["model_id", "ended_at"]).frame
    load_records(run, keep_parquet=True)
    from_columns = load_records(run, columns=["model_id", "ended_at"]).frame

    assert {"model_id", "ended_at", "cell", "process", "seq"} <= set(from_files) < set(whole)
    pd.testing.assert_frame_equal(from_files, whole[list(from_files)])
    pd.testing.assert_frame_equal(from_columns, from_files)
