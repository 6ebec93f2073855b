"""The record file."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bedrock.invocation import InvocationRecord
from loadgen.line_files import LineFile
from loadgen.recorder import Recorder


def record(recorder: Recorder) -> InvocationRecord:
    return InvocationRecord("run", "cell", recorder.process, recorder.next_seq(), "m", error_message="遅い\n応答")


def test_a_record_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "cells" / "a" / "requests-local.jsonl"
    recorder = Recorder(LineFile(path), "local")
    recorder.write(record(recorder))
    recorder.write(record(recorder))

    lines = path.read_text(encoding="utf-8").splitlines()
    recorder.close()

    assert [InvocationRecord.from_json(line).seq for line in lines] == [0, 1]


def test_an_existing_file_is_added_to_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "requests-local.jsonl"
    for _ in range(2):
        recorder = Recorder(LineFile(path), "local")
        recorder.write(record(recorder))
        recorder.close()

    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_the_instants_of_a_record_are_told_by_the_clock_of_the_leading_process(tmp_path: Path) -> None:
    path = tmp_path / "requests-worker-0.jsonl"
    recorder = Recorder(LineFile(path), "worker-0")
    recorder.ahead_s = 1000.0
    told = record(recorder)
    told.intended_at, told.started_at, told.ended_at = 1.0, 1.5, 3.0
    recorder.write(told)
    recorder.close()

    written = InvocationRecord.from_json(path.read_text(encoding="utf-8"))
    assert (written.intended_at, written.started_at, written.ended_at) == (1001.0, 1001.5, 1003.0)
    assert written.first_token_at is None
    assert written.e2e_ms == told.e2e_ms == 2000.0, "the record that Locust is told of stays as it was"


def test_a_record_that_does_not_fit_on_the_disk_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "requests-local.jsonl"
    recorder = Recorder(LineFile(path), "local")
    recorder.write(record(recorder))
    with _room_for(path.stat().st_size + 300), pytest.raises(OSError, match="too large"):
        recorder.write(record(recorder))
    recorder.write(record(recorder))
    recorder.close()

    records, skipped = read_records(path)
    assert [each["seq"] for each in records] == [0, 2]
    assert skipped == 1


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Files of this process end at `size` bytes, as they do on a full disk: the write that crosses it is cut short."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def read_records(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole records of a file, and how many lines are none."""
    records: list[dict[str, Any]] = []
    skipped = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            skipped += 1
    return records, skipped
