"""Traces are read with the command line, before Locust starts processes."""

from pathlib import Path

import pytest

from loadgen.early_traces import read_early


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.csv"
    path.write_text("time\n0\n1\n")
    return str(path)


def test_traces_of_the_command_line_the_environment_and_stages_are_read(trace: str, tmp_path: Path) -> None:
    stages = tmp_path / "stages.yaml"
    stages.write_text("stages:\n- {rate: 5/s}\n- {pattern: replay, trace: trace.csv}\n")

    assert read_early(["-f", "x.py", "--pattern=replay", "--trace-file", trace, "-u", "3"], {}) == [trace]
    assert read_early([], {"PATTERN": "replay", "TRACE_FILE": trace}) == [trace]
    assert read_early([f"--stages-file={stages}"], {"TRACE_FILE": trace}) == [trace]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--trace-file=/no/such.csv", "--pattern=replay"],
        ["--stages-file=/no/such.yaml"],
        ["--trace-file"],
        ["--pattern=spike", "--trace-file=/no/such.csv"],
    ],
)
def test_nothing_is_refused_before_all_options_are_checked(arguments: list[str]) -> None:
    assert read_early(arguments, {}) == []
