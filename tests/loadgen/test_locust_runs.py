"""Real Locust processes against the emulator: every attempt leaves a record, however the test ends."""

import csv
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bedrock.outcome import Outcome
from bedrock.tokens import estimate_tokens
from tests.support.locust_process import FAST, NOVA, LocustProcess, truth_by_id
from tests.support.scripted_server import serving

pytestmark = pytest.mark.e2e

BUSY = (*NOVA, "-u", "6", "-r", "6", "--think-time", "0.05s-0.1s")


def assert_records_are_the_truth(records: list[Any], truth: list[dict[str, Any]]) -> None:
    """One record per request that the emulator saw, with the same tokens and the same status."""
    rows = truth_by_id(truth)
    assert len(records) == len(truth) == len(rows)
    assert {record.request_id for record in records} == set(rows)
    for record in records:
        row = rows[record.request_id]
        assert (record.input_tokens, record.output_tokens) == (row["input_tokens"], row["output_tokens"])
        assert record.http_status == row["status"]


def locusts_own_counts(results: Path) -> Counter[str]:
    with (results / "locust_stats.csv").open(encoding="utf-8") as file:
        return Counter({row["Type"] + row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)})


@pytest.mark.parametrize("name", ["single_prompt", "mangaassist"])
def test_a_closed_loop_ends_by_itself_with_one_event_and_one_record_per_call(
    name: str, start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=FAST)
    locust = LocustProcess(name, emulator.url, tmp_path, *BUSY, "--routing", "nova", "--test-duration", "2s")
    output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} == {Outcome.OK}
    assert_records_are_the_truth(records, emulator.truth())
    assert locusts_own_counts(tmp_path)["Aggregated"] == len(records)
    assert all(record.intended_at == record.started_at for record in records)
    assert "python run_tests.py report" in output
    if name == "mangaassist":
        assert {record.model_id for record in records} == {"us.amazon.nova-2-lite-v1:0", "us.amazon.nova-pro-v1:0"}
        assert {record.language for record in records} == {"en", "ja"}


def test_an_open_loop_offers_its_schedule_and_counts_latency_from_the_intended_start(
    start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=FAST)
    options = ("-u", "30", "-r", "30", "--rate", "20/s", "--arrival-process", "constant", "--pattern", "spike")
    locust = LocustProcess(
        "single_prompt", emulator.url, tmp_path, *NOVA, *options, "--spike-factor", "3", "--test-duration", "2s"
    )
    output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    # 0.8 s + 0.8 s at 20/s and 0.4 s at 60/s
    assert len(records) == locust.load()["arrivals_offered"] == 56
    assert Counter(record.phase for record in records) == {"baseline": 16, "spike": 24, "recovery": 16}
    assert_records_are_the_truth(records, emulator.truth())
    intended = sorted(record.intended_at for record in records if record.intended_at is not None)
    assert intended[1] - intended[0] == pytest.approx(0.05, abs=1e-5)
    assert all((record.started_at or 0) >= (record.intended_at or 0) for record in records)


def test_a_replayed_trace_keeps_its_gaps_and_its_counts_per_query_type_over_two_processes(
    start_emulator: Any, tmp_path: Path
) -> None:
    types = ["greeting", "price_check", "greeting", "recommendation"] * 15
    rows = "".join(f"{1000 + n // 3 * 0.1:.1f},{name},7\n" for n, name in enumerate(types))
    trace = tmp_path / "trace.csv"
    trace.write_text("time,query_type,output_tokens\n" + rows)
    emulator = start_emulator(config=FAST)
    options = ("--routing", "nova", "-u", "30", "-r", "30", "--pattern", "replay", "--trace-file", str(trace))
    locust = LocustProcess("mangaassist", emulator.url, tmp_path / "results", *options, "--processes", "2")
    output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert locust.load()["arrivals_offered"] == 60
    assert {record.phase for record in records} == {"replay"}
    assert Counter(record.query_type for record in records) == Counter(types)
    assert {record.max_tokens for record in records} == {7}
    assert {record.process for record in records} == {"worker-0", "worker-1"}
    assert_records_are_the_truth(records, emulator.truth())
    due = sorted(record.intended_at for record in records if record.intended_at is not None)
    # Unix seconds in a float resolve 0.24 us.
    assert [at - due[0] for at in due] == pytest.approx([n // 3 * 0.1 for n in range(60)], abs=1e-6)


def test_stages_of_a_file_follow_each_other_behind_one_warm_up(start_emulator: Any, tmp_path: Path) -> None:
    stages = tmp_path / "stages.yaml"
    stages.write_text(
        "process: constant\nstages:\n- {rate: 10/s, duration: 1s, name: calm}\n"
        "- {pattern: ramp, start_rate: 10/s, rate: 30/s, duration: 1s}\n"
        "- {pattern: steps, step_rates: [10/s, 20/s], step_duration: 500ms}\n"
    )
    emulator = start_emulator(config=FAST)
    options = ("-u", "30", "-r", "30", "--warmup", "500ms", "--stages-file", str(stages))
    locust = LocustProcess("single_prompt", emulator.url, tmp_path / "results", *NOVA, *options)
    output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert Counter(record.phase for record in records) == {"warmup": 5, "calm": 10, "rise": 20, "step1": 5, "step2": 10}
    assert [phase["name"] for phase in locust.load()["phases"]] == ["ramp", "warmup", "calm", "rise", "step1", "step2"]
    assert_records_are_the_truth(records, emulator.truth())


def test_two_processes_share_one_schedule(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator(config=FAST)
    options = ("-u", "20", "-r", "20", "--rate", "20/s", "--arrival-process", "constant", "--test-duration", "2s")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *NOVA, *options, "--processes", "2")
    output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert {record.process for record in records} == {"worker-0", "worker-1"}
    assert len(records) == locust.load()["arrivals_offered"] == 40
    assert len({record.message_id.rpartition("m")[2] for record in records}) == 40
    assert_records_are_the_truth(records, emulator.truth())
    assert locusts_own_counts(tmp_path)["Aggregated"] == 40


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["local", "two-processes"])
@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "run-time"])
def test_however_a_test_ends_calls_in_flight_finish_and_are_recorded(
    end: str, processes: tuple[str, ...], start_emulator: Any, tmp_path: Path
) -> None:
    slow = {"default": FAST["default"] | {"output_tokens": {"distribution": "fixed", "median": 600}}}
    emulator = start_emulator(config=slow)
    limit = ("-t", "3s") if end == "run-time" else ()
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *BUSY, *limit, *processes)
    if end != "run-time":
        locust.wait_for_records(6)
        os.kill(locust.process.pid, getattr(signal, end))
    output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert len(records) >= 6
    assert {record.outcome for record in records} == {Outcome.OK}
    assert_records_are_the_truth(records, emulator.truth())
    assert locust.load()["open_at_stop"] > 0
    assert locust.load()["aborted"] == 0


def test_a_cached_system_prompt_and_all_else_that_was_asked_for_is_in_the_requests(
    start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=FAST)
    clerk = tmp_path / "clerk.txt"
    clerk.write_text("Answer as the clerk of a manga store. " * 150, encoding="utf-8")
    carried = ("--system-prompt-file", str(clerk), "--cache-system", "--latency", "optimized")
    ended = ("--stop-sequences", '[".", " "]', "--request-metadata", "team=search")
    results = tmp_path / "results"
    slow = ("-u", "1", "--think-time", "0.05s-0.1s", "--test-duration", "1s")
    locust = LocustProcess("single_prompt", emulator.url, results, *NOVA, *slow, *carried, *ended)
    output = locust.finish()
    first, *others = records = sorted(locust.records(), key=lambda record: record.seq)
    system_tokens = estimate_tokens(clerk.read_text(encoding="utf-8"))

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} == {Outcome.OK}
    assert others
    assert (first.cache_write_tokens, first.cache_read_tokens) == (system_tokens, 0)
    assert {(record.cache_write_tokens, record.cache_read_tokens) for record in others} == {(0, system_tokens)}
    assert {record.stop_reason for record in records} == {"stop_sequence"}
    written = "".join(path.read_text(encoding="utf-8") for path in results.rglob("*") if path.is_file())
    run = json.loads((results / "run.json").read_text(encoding="utf-8"))
    assert run["request"]["system_prompt"]["tokens"] == system_tokens
    assert "clerk of a manga store" not in written


LONG = {"default": FAST["default"] | {"output_tokens": {"distribution": "fixed", "median": 300}}}
PATTERN = (*NOVA, "-u", "12", "-r", "12", "--think-time", "0.1s-0.2s", "--pattern", "spike", "--spike-factor", "4")


def test_users_follow_a_pattern_and_those_that_are_taken_away_finish_their_calls(
    start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=LONG)
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *PATTERN, "--test-duration", "6s")
    output = locust.finish()
    records = locust.records()
    with (tmp_path / "locust_stats_history.csv").open(encoding="utf-8") as file:
        users_shown = {int(row["User Count"]) for row in csv.DictReader(file)}

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} == {Outcome.OK}
    assert_records_are_the_truth(records, emulator.truth())
    assert {"baseline", "spike", "recovery"} == {record.phase for record in records} - {"ramp"}
    assert {3, 12} <= users_shown
    assert locust.load()["users"] == 12
    assert locust.load()["ended_at"] is not None


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["local", "two-processes"])
def test_sigterm_ends_a_pattern_of_users_with_its_reports(
    processes: tuple[str, ...], start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=LONG)
    page = tmp_path / "locust.html"
    options = (*PATTERN, "--test-duration", "5m", "--html", str(page), *processes)
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *options)
    locust.wait_for_records(4)
    locust.process.send_signal(signal.SIGTERM)
    output = locust.finish()

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in locust.records()} == {Outcome.OK}
    assert_records_are_the_truth(locust.records(), emulator.truth())
    assert locust.load()["ended_at"] is not None
    assert page.exists()


OWN_SHAPE = """
from locust import LoadTestShape
from locustfiles.single_prompt import SinglePrompt

class Own(LoadTestShape):
    def tick(self):
        return None
"""


def test_a_locustfile_with_a_shape_of_its_own_excludes_a_pattern_of_users(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator(config=FAST)
    locustfile = tmp_path / "own.py"
    locustfile.write_text(OWN_SHAPE)
    locust = LocustProcess(str(locustfile), emulator.url, tmp_path / "results", *PATTERN, "--test-duration", "5s")
    output = locust.finish()

    assert locust.process.returncode == 4
    assert "error: --pattern: the locustfile has a load shape of its own" in output
    assert emulator.truth() == []


INTERRUPTIBLE = """
import gevent
from locust import constant, task
from bedrock.clock import now
from loadgen.users import SinglePromptUser

class Busy(SinglePromptUser):
    def wait_time(self):
        return 0.0

    @task
    def compute(self):
        # Nearly all of the process's time is spent here, so this is where a signal finds it.
        try:
            until = now() + 0.05
            while now() < until:
                pass
            open({started!r}, "a").close()
        except BaseException as error:
            open({interrupted!r}, "w").write(repr(error))
            raise
        gevent.sleep(0.0005)
"""


def test_ctrl_c_ends_the_test_and_never_the_code_that_it_finds_running(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator(config=FAST)
    started, interrupted, locustfile = tmp_path / "started", tmp_path / "interrupted", tmp_path / "busy.py"
    locustfile.write_text(INTERRUPTIBLE.format(started=str(started), interrupted=str(interrupted)))
    locust = LocustProcess(str(locustfile), emulator.url, tmp_path / "results", *NOVA, "-u", "1")
    locust.wait_until(started.exists)
    locust.process.send_signal(signal.SIGINT)
    output = locust.finish()

    assert locust.process.returncode == 0, output
    assert not interrupted.exists(), interrupted.read_text()


def test_calls_that_outlast_the_drain_are_aborted_and_never_successes(tmp_path: Path) -> None:
    with serving(b"HTTP/1.1 200 OK\r\n", hold=True) as url:
        locust = LocustProcess("single_prompt", url, tmp_path, *BUSY, "--drain-timeout", "0.3s")
        locust.wait_until(lambda: any(sample["in_flight"] for sample in locust.health()))
        locust.process.send_signal(signal.SIGINT)
        output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} == {Outcome.ABORTED}
    assert locust.load()["aborted"] == len(records)
    assert locusts_own_counts(tmp_path)["Aggregated"] == len(records)


def test_a_second_ctrl_c_cuts_calls_off_and_keeps_the_books(tmp_path: Path) -> None:
    with serving(b"HTTP/1.1 200 OK\r\n", hold=True) as url:
        locust = LocustProcess("single_prompt", url, tmp_path, *BUSY, "--drain-timeout", "5m")
        locust.wait_until(lambda: any(sample["in_flight"] for sample in locust.health()))
        locust.process.send_signal(signal.SIGINT)
        time.sleep(1.0)  # two signals at once are one
        locust.process.send_signal(signal.SIGINT)
        output = locust.finish()
    records = locust.records()

    assert locust.process.returncode == 0, output
    assert {record.outcome for record in records} == {Outcome.ABORTED}
    assert locust.load()["ended_at"] is not None
    assert locust.load()["members"][0]["records"] == len(records)


def test_arrivals_without_a_slot_are_dropped_recorded_with_their_type_and_never_sent(
    start_emulator: Any, tmp_path: Path
) -> None:
    slow = {"default": FAST["default"] | {"latency": {"ttft_ms": {"distribution": "fixed", "median": 1500}}}}
    emulator = start_emulator(config=slow)
    trace = tmp_path / "trace.csv"
    trace.write_text("time,query_type\n" + "".join(f"{n / 10},type{n % 3}\n" for n in range(30)))
    options = ("-u", "2", "-r", "2", "--pattern", "replay", "--trace-file", str(trace), "--max-lag", "0.2s")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path / "results", *NOVA, *options)
    locust.finish()
    outcomes = Counter(str(record.outcome) for record in locust.records())
    dropped = [record for record in locust.records() if record.outcome is Outcome.DROPPED]

    assert outcomes.total() == locust.load()["arrivals_offered"] == 30
    assert outcomes["ok"] == len(emulator.truth())
    assert outcomes["dropped"] == 30 - outcomes["ok"] > 0
    assert Counter(record.query_type for record in locust.records()) == {"type0": 10, "type1": 10, "type2": 10}
    assert all(record.started_at is None and record.intended_at is not None for record in dropped)
    assert locusts_own_counts(tmp_path / "results")["Aggregated"] == outcomes["ok"]


def test_throttles_are_failures_that_stay_out_of_the_latency(start_emulator: Any, tmp_path: Path) -> None:
    emulator = start_emulator(config={"default": FAST["default"] | {"quota": {"rpm": 5}}})
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *BUSY, "--test-duration", "2s")
    locust.finish()
    outcomes = Counter(record.outcome for record in locust.records())

    assert outcomes[Outcome.THROTTLED] == sum(row["status"] == 429 for row in emulator.truth()) > 0
    assert {record.error_code for record in locust.records() if record.outcome is Outcome.THROTTLED} == {
        "ThrottlingException"
    }
    with (tmp_path / "locust_failures.csv").open(encoding="utf-8") as file:
        (failure,) = csv.DictReader(file)
    assert int(failure["Occurrences"]) == outcomes[Outcome.THROTTLED]
    assert "throttled: ThrottlingException" in failure["Error"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--rate", "5"), "error: --rate: '5' is not a rate: write a number and a unit"),
        (("--pattern", "production", "--test-duration", "9s"), "error: --pattern: production needs the open loop"),
        (("--rate", "5/s", "--pattern", "spike"), "error: --pattern: The pattern 'spike' needs a test duration"),
        (("--model-id", "amazon.nova-por-v1:0"), "Did you mean amazon.nova-pro-v1:0?"),
        (("--prompts-file", "/no/such/file.json"), "/no/such/file.json"),
        (("--endpoint-url", "http://127.0.0.1:1"), "error: Nothing answers at http://127.0.0.1:1"),
    ],
)
def test_a_command_line_that_makes_no_test_is_refused_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=FAST)
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *arguments)
    output = locust.finish()

    assert locust.process.returncode == 4
    assert sentence in output
    assert "Traceback" not in output
    assert emulator.truth() == []
