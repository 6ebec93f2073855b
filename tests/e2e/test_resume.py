"""Suites that are killed, and gone on with."""

import signal
from pathlib import Path

import pytest

from benchmarks.interruption_checks import check_suite
from tests.e2e.test_suite import FAST, assert_nothing_is_left, record_count, start, until, wait

pytestmark = pytest.mark.e2e

TWO = f"""
name: two
model_id: amazon.nova-pro-v1:0
load: {{rate: 20/s, duration: 1s, drain_timeout: 5s}}
order: {{shuffle: false}}
matrix: {{service_tiers: [default, flex], prompt_sizes: [small]}}
{FAST}"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_in_its_second_cell_keeps_the_first_and_ends_complete(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, TWO)
    second = tmp_path / "out" / "cells" / "us-flex-small-r20" / "requests-local.jsonl"
    until(lambda: second.exists() and second.stat().st_size)
    process.send_signal(number)
    stopped = wait(process, tmp_path)
    first_records = (tmp_path / "out" / "cells" / "us-default-small-r20" / "requests-local.jsonl").read_bytes()
    ended = wait(start(tmp_path, TWO, "--resume"), tmp_path)

    assert stopped.exit_code == (2 if number == signal.SIGINT else -9)
    assert ended.exit_code in (0, 5), ended.stderr
    assert "1 of 2 cells are finished and kept" in ended.stderr
    assert check_suite(ended.directory).problems == ()
    assert (ended.directory.path / "cells/us-default-small-r20/requests-local.jsonl").read_bytes() == first_records
    assert (ended.directory.set_aside / "us-flex-small-r20" / "cell").is_dir()
    assert ended.run["run_id"] == ended.summary["run"]["run_id"]
    assert len(ended.run["resumed"]) == 1
    assert_nothing_is_left(tmp_path)

    again = wait(start(tmp_path, TWO, "--resume"), tmp_path)
    assert "nothing is left to be sent" in again.stderr
    assert again.exit_code == ended.exit_code
    assert record_count(tmp_path) == check_suite(ended.directory).calls, "a finished run is only analysed again"
