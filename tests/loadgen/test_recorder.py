"""The record file."""

from pathlib import Path

from bedrock.invocation import InvocationRecord
from loadgen.recorder import Recorder


def record(recorder: Recorder) -> InvocationRecord:
    return InvocationRecord("run", "cell", recorder.process, recorder.next_seq(), "m", error_message="遅い\n応答")


def test_a_record_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "cells" / "a" / "requests-local.jsonl"
    recorder = Recorder(path, "local")
    recorder.write(record(recorder))
    recorder.write(record(recorder))

    lines = path.read_text(encoding="utf-8").splitlines()
    recorder.close()

    assert [InvocationRecord.from_json(line).seq for line in lines] == [0, 1]


def test_an_existing_file_is_added_to_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "requests-local.jsonl"
    for _ in range(2):
        with Recorder(path, "local") as recorder:
            recorder.write(record(recorder))

    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
