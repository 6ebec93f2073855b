"""`python -m benchmarks.emulator` as a process: its counts against the truth logs, its mistakes, its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.emulator import Results, UsageError, choose_cores, limits
from benchmarks.emulator_streams import StreamStep
from benchmarks.emulator_tables import render, table
from benchmarks.summaries import Summary

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.emulator"]
#: Far more than a quick run takes; only a hanging process is ended by it.
PATIENCE_S = 180.0
OF_THE_PLAN = 25 + 4

needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the benchmark needs two cores")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def truth(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, str]:
    """Numbers, truth logs and table of one quick run."""
    directory = tmp_path_factory.mktemp("benchmark")
    done = run("--quick", "--json", str(directory / "numbers.json"), "--truth-dir", str(directory / "truth"))
    assert done.returncode == 0, done.stderr
    numbers = json.loads((directory / "numbers.json").read_text(encoding="utf-8"))
    return numbers, directory / "truth", done.stdout


@needs_two_cores
def test_clients_saw_exactly_the_events_that_the_truth_log_has(quick: tuple[dict[str, Any], Path, str]) -> None:
    numbers, logs, _ = quick

    assert [step["streams"] for step in numbers["streams"]] == [20, 40]
    for step in numbers["streams"]:
        lines = truth(logs / f"streams-{step['streams']}.jsonl")
        assert step["failed"] == 0
        assert step["answers"] == len(lines) >= step["streams"]
        assert {line["events"] for line in lines} == {OF_THE_PLAN}
        assert step["events_seen"] == step["events_in_truth"] == sum(line["events"] for line in lines)


@needs_two_cores
def test_lateness_covers_the_events_of_the_window_and_is_never_early(quick: tuple[dict[str, Any], Path, str]) -> None:
    numbers, _, _ = quick
    for step in numbers["streams"]:
        sent, seen = step["send_lateness_ms"], step["arrival_lateness_ms"]
        assert 0 <= sent["p50"] <= sent["p99"] <= sent["max"]
        assert 0 < sent["n"] < seen["n"]
        assert seen["p50"] > -step["clock_uncertainty_ms"]
        assert step["receive_delay_ms"]["n"] > 0


@needs_two_cores
def test_every_whole_answer_is_a_line_of_the_truth_log(quick: tuple[dict[str, Any], Path, str]) -> None:
    numbers, logs, _ = quick

    for name, answers in (("whole", numbers["whole"]["answers"]), ("memory", numbers["memory"]["requests"])):
        lines = truth(logs / f"{name}.jsonl")
        assert numbers[name]["failed"] == 0
        assert answers == numbers[name]["lines_in_truth"] == len(lines)
        assert {(line["outcome"], line["output_tokens"]) for line in lines} == {("ok", 20)}


@needs_two_cores
def test_memory_is_read_over_the_whole_run(quick: tuple[dict[str, Any], Path, str]) -> None:
    numbers, logs, _ = quick
    memory = numbers["memory"]
    answered = [done for done, _ in memory["samples"]]

    assert memory["requests"] == 3_000
    assert answered == sorted(answered)
    assert memory["samples"][0] == [0, memory["rss_start_bytes"]]
    assert all(rss > 1_000_000 for _, rss in memory["samples"])
    assert memory["truth_log_bytes"] == (logs / "memory.jsonl").stat().st_size


@needs_two_cores
def test_the_json_has_the_contracts_parts_and_the_table_shows_them(quick: tuple[dict[str, Any], Path, str]) -> None:
    numbers, _, printed = quick

    assert list(numbers) == ["schema_version", "machine", "streams", "whole", "memory", "limits"]
    assert set(numbers["machine"]) == {"cpu", "cores", "python", "uvloop"}
    assert numbers["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert numbers["limits"]["requests_per_s"] == numbers["whole"]["requests_per_s"] > 0
    assert f"{numbers['whole']['requests_per_s']:,.0f}" in printed
    assert "3,000" in printed


@needs_two_cores
def test_parts_that_are_left_out_are_null_and_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    done = run("--quick", "--parts", "whole", "--json", str(path))
    numbers = json.loads(path.read_text(encoding="utf-8"))

    assert done.returncode == 0, done.stderr
    assert (numbers["streams"], numbers["memory"]) == ([], None)
    assert numbers["limits"]["streams_on_schedule"] is None
    assert numbers["limits"]["bytes_per_request"] is None


@needs_two_cores
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    logs = tmp_path / "truth"
    process = subprocess.Popen(
        [*COMMAND, "--parts", "memory", "--truth-dir", str(logs)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until("requests are answered", lambda: has_content(logs / "memory.jsonl"))
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()

    assert (process.returncode, said.splitlines()[-1]) == (2, "benchmark: interrupted; nothing is left running")
    assert len(started) >= 2, "an emulator and a load process"
    wait_until("its processes end", lambda: not any(map(runs, started)))


def wait_until(what: str, happened: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < give_up_at, f"never: {what}"
        time.sleep(0.05)


def has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_machine_with_one_core_is_told_so(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [*COMMAND, "--quick"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip

    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr == (
        "benchmark: this machine lets it use 1 core(s) to pin processes to, and it needs two: "
        "one for the emulator alone, one for its clients\n"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--streams", "300,many"], "'many' is not a whole number above 0"),
        (["--requests", "0"], "'0' is not a whole number above 0"),
        (["--seconds", "soon"], "'soon' is not a number of seconds above 0"),
        (["--parts", "memory,speed"], "'speed' is not one of streams, whole, memory"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["--core", "9999"], "core 9999 is not one of those it may use"),
        (["--truth-dir", "/proc/no/such"], "cannot write to /proc/no/such"),
        (["--json", "/no/such/numbers.json"], "cannot write /no/such/numbers.json"),
    ],
)
@needs_two_cores
def test_a_mistake_is_one_sentence_and_nothing_is_measured(options: list[str], sentence: str) -> None:
    done = run(*options)

    assert done.returncode == 4
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@needs_two_cores
def test_truth_logs_of_an_earlier_run_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    (tmp_path / "whole.jsonl").write_text("{}\n", encoding="utf-8")
    done = run("--quick", "--truth-dir", str(tmp_path))

    assert done.returncode == 4
    assert "whole.jsonl exists" in done.stderr


def test_the_emulator_has_a_core_of_its_own() -> None:
    assert choose_cores([0, 1, 2], None) == (2, [0, 1])
    assert choose_cores([0, 1, 2], 1) == (1, [0, 2])
    with pytest.raises(UsageError, match="needs two"):
        choose_cores([], None)


def step(streams: int, p99_ms: float | None, events_per_s: float, failed: int = 0) -> StreamStep:
    lateness = Summary(0 if p99_ms is None else 500, p99_ms, p99_ms, p99_ms)
    return StreamStep(
        streams, 10.0, streams * 50.0, events_per_s, 50.0, 1.0, 40.0, lateness, lateness, lateness, 0.02, [],
        answers=10, failed=failed, events_seen=100, events_in_truth=100,
    )  # fmt: skip


def results(steps: Iterable[StreamStep]) -> Results:
    machine: Mapping[str, Any] = {"cpu": "x", "cores": 2, "python": "3.11.0", "uvloop": None}
    return Results(dict(machine), list(steps), None, None)


def test_the_ceiling_is_the_largest_step_on_schedule_with_nothing_lost() -> None:
    steps = [step(300, 1.0, 15e3), step(600, 2.9, 30e3), step(900, 3.1, 45e3), step(1200, 2.0, 44e3, failed=1)]
    found = limits(results(steps))

    assert (found["streams_on_schedule"], found["events_per_s_on_schedule"]) == (600, 30e3)
    assert found["events_per_s"] == 45e3


@pytest.mark.parametrize("steps", [[], [step(300, 9.0, 15e3)], [step(300, None, 0.0)]])
def test_without_a_step_on_schedule_there_is_no_ceiling(steps: list[StreamStep]) -> None:
    assert limits(results(steps))["streams_on_schedule"] is None


def test_what_is_not_known_is_shown_as_such() -> None:
    printed = render(results([step(300, None, 0.0)]).to_dict(), core=1)

    assert "uvloop none" in printed
    assert "whole answers/s: -" in printed
    assert table("Title", [{"a": "1", "long": "2"}, {"a": "100", "long": "3"}]).splitlines() == [
        "Title", "    a  long", "    1     2", "  100     3",
    ]  # fmt: skip
