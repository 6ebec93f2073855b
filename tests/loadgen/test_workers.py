"""A master and its workers: one schedule, all records in one directory, also where a worker is lost or joins late."""

import os
import signal
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bedrock.invocation import InvocationRecord
from bedrock.outcome import Outcome
from tests.support.locust_process import FAST, NOVA, LocustProcess, free_port, start_workers, truth_by_id

pytestmark = pytest.mark.e2e

OPEN = (*NOVA, "-u", "40", "-r", "40", "--rate", "20/s", "--arrival-process", "constant")

Workers = list["subprocess.Popen[str]"]


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Workers that a test starts; none is left behind."""
    started: Workers = []
    yield started
    for worker in started:
        worker.kill()
        worker.communicate()


def master_of(
    workers: Workers, url: str, tmp_path: Path, *arguments: str, headless: bool = True
) -> LocustProcess:  # fmt: skip
    """A master, with two workers that do not see its directory as theirs."""
    port = free_port()
    options = ("--master", "--expect-workers", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    options = (*options, *OPEN, *arguments)
    master = LocustProcess("single_prompt", url, tmp_path / "results", *options, headless=headless)
    workers += start_workers("single_prompt", port, 2, tmp_path / "elsewhere")
    return master


def numbers(records: list[InvocationRecord]) -> list[int]:
    """The numbers of the messages that records are of."""
    return sorted(int(record.message_id.rpartition("m")[2]) for record in records)


def assert_all_are_there(records: list[InvocationRecord], emulator: Any, load: dict[str, Any]) -> None:
    """Each arrival that was offered was answered, and has one record with the emulator's request id."""
    truth = emulator.truth()
    assert {record.outcome for record in records} == {Outcome.OK}
    assert {record.request_id for record in records} == set(truth_by_id(truth))
    assert len(records) == len(truth) == load["arrivals_offered"]
    assert numbers(records) == list(range(len(records)))


def test_records_of_workers_elsewhere_reach_the_masters_directory(
    start_emulator: Any, tmp_path: Path, workers: Workers
) -> None:
    emulator = start_emulator(config=FAST)
    master = master_of(workers, emulator.url, tmp_path, "--ship-records", "--test-duration", "1m", "-t", "5s")
    output = master.finish()
    records, load = master.records(), master.load()
    counts = Counter(record.process for record in records)

    assert master.process.returncode == 0, output
    assert counts.keys() == {"worker-0", "worker-1"}
    assert abs(counts["worker-0"] - counts["worker-1"]) <= 1
    assert_all_are_there(records, emulator, load)
    assert {member["process"]: member["records"] for member in load["members"]} == counts
    assert sorted(path.name for path in (tmp_path / "results").glob("cells/*/health-*")) == [
        "health-worker-0.jsonl",
        "health-worker-1.jsonl",
    ]
    assert not list((tmp_path / "elsewhere").iterdir()), "workers leave nothing where they ran"


SLOW = {"default": FAST["default"] | {"output_tokens": {"distribution": "fixed", "median": 600}}}


@pytest.mark.parametrize("elsewhere", [True, False], ids=["master-and-workers", "two-processes"])
def test_the_stop_button_loses_nothing_of_several_processes(
    elsewhere: bool, start_emulator: Any, tmp_path: Path, workers: Workers
) -> None:
    emulator, web_port = start_emulator(config=SLOW), free_port()
    options = ("--web-port", web_port, "--autostart", "--test-duration", "1m")
    if elsewhere:
        leader = master_of(workers, emulator.url, tmp_path, "--ship-records", *options, headless=False)
    else:
        options = (*OPEN, "--processes", "2", *options)
        leader = LocustProcess("single_prompt", emulator.url, tmp_path / "results", *options, headless=False)
    leader.wait_for_records(3)
    urllib.request.urlopen(f"http://127.0.0.1:{web_port}/stop", data=b"", timeout=30.0).close()
    leader.wait_until(lambda: leader.load()["ended_at"] is not None)
    records, load = leader.records(), leader.load()
    leader.process.send_signal(signal.SIGTERM)
    leader.finish()

    assert load["open_at_stop"] > 0
    assert {record.process for record in records} == {"worker-0", "worker-1"}
    assert_all_are_there(records, emulator, load)


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_master_loses_nothing_of_workers_elsewhere(
    end: str, start_emulator: Any, tmp_path: Path, workers: Workers
) -> None:
    emulator = start_emulator(config=SLOW)
    master = master_of(workers, emulator.url, tmp_path, "--ship-records", "--test-duration", "1m")
    master.wait_for_records(3)
    os.kill(master.process.pid, getattr(signal, end))
    output = master.finish()

    assert master.process.returncode == 0, output
    assert_all_are_there(master.records(), emulator, master.load())


def test_a_killed_worker_is_missed_its_arrivals_are_accounted_for_and_the_rest_is_dealt_to_the_others(
    start_emulator: Any, tmp_path: Path
) -> None:
    emulator = start_emulator(config=FAST)
    options = (*OPEN, "--processes", "2", "--test-duration", "10s")
    locust = LocustProcess("single_prompt", emulator.url, tmp_path, *options)
    locust.wait_for_records(10)
    victim = next(child for child in psutil.Process(locust.process.pid).children() if child.status() != "zombie")
    victim.kill()
    output = locust.finish()
    records, load = locust.records(), locust.load()
    lost = [record for record in records if record.error_code == "ProcessLost"]
    sent = [record for record in records if record.error_code != "ProcessLost"]

    assert locust.process.returncode == 0, output
    assert load["processes_lost"] == 1
    assert load["arrivals_lost"] == len(lost) > 0
    assert numbers(records) == list(range(200)), "every arrival of the schedule has one record"
    assert {record.outcome for record in lost} <= {Outcome.ABORTED, Outcome.DROPPED}
    assert {record.outcome for record in sent} == {Outcome.OK}
    assert all(record.started_at is None and record.query_type is None for record in lost)
    # Each completed call of the dead process is there: what the emulator finished and nobody has was in flight.
    finished = {row["request_id"] for row in emulator.truth() if row["outcome"] == "ok"}
    assert len(finished - {record.request_id for record in sent}) <= 3
    survivors = Counter(record.process for record in sent if (record.intended_at or 0) > (lost[-1].intended_at or 0))
    assert len(survivors) == 1
    assert survivors.total() > 10, "the other worker takes all arrivals that are left"


def test_a_master_whose_last_worker_is_killed_ends_with_its_books_closed(
    start_emulator: Any, tmp_path: Path, workers: Workers
) -> None:
    emulator = start_emulator(config=FAST)
    port = free_port()
    options = ("--master", "--expect-workers", "1", "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    master = LocustProcess("single_prompt", emulator.url, tmp_path, *options, *OPEN, "--test-duration", "5m")
    workers += start_workers("single_prompt", port, 1, tmp_path / "elsewhere")
    master.wait_for_records(3)
    workers[0].kill()
    output = master.finish(30.0)
    records, load = master.records(), master.load()

    assert load["ended_at"] is not None, output
    assert load["processes_lost"] == 1
    assert numbers(records) == list(range(len(records)))


def test_a_worker_that_joins_late_takes_its_share_from_then_on(
    start_emulator: Any, tmp_path: Path, workers: Workers
) -> None:
    emulator = start_emulator(config=FAST)
    port = free_port()
    options = ("--master", "--expect-workers", "1", "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    master = LocustProcess("single_prompt", emulator.url, tmp_path, *options, *OPEN, "--test-duration", "5m")
    workers += start_workers("single_prompt", port, 1, tmp_path / "elsewhere")
    master.wait_for_records(3)
    workers += start_workers("single_prompt", port, 1, tmp_path / "elsewhere")
    master.wait_until(lambda: sum(record.process == "worker-1" for record in master.records()) > 5)
    os.kill(master.process.pid, signal.SIGTERM)
    output = master.finish()
    records = master.records()

    assert master.process.returncode == 0, output
    assert numbers(records) == list(range(len(records))), "nothing was taken twice or by nobody"
    assert {record.outcome for record in records} == {Outcome.OK}
    assert {record.request_id for record in records} == set(truth_by_id(emulator.truth()))


def test_a_worker_that_cannot_take_part_stops_the_test_before_anything_is_sent(
    start_emulator: Any, tmp_path: Path, workers: Workers
) -> None:
    emulator = start_emulator(config=FAST)
    here = tmp_path / "prompts.json"
    here.write_text('{"medium": [{"text": "Where is my order?", "description": "order"}]}')
    port = free_port()
    options = ("--master", "--expect-workers", "1", "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    prompts = os.path.relpath(here, Path(__file__).parents[2])  # found from the master's folder alone
    master = LocustProcess("single_prompt", emulator.url, tmp_path / "r", *options, *OPEN, "--prompts-file", prompts)
    workers += start_workers("single_prompt", port, 1, tmp_path / "far" / "away" / "elsewhere")
    output = master.finish()

    assert master.process.returncode == 4, output
    assert "prompts.json" in output
    assert emulator.truth() == []
