"""The truth log: complete, in order, by file and by endpoint, also when the client vanishes."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedrock.clock import now
from bedrock.outcome import Outcome
from emulator.process import EmulatorError, EmulatorProcess
from emulator.truth import CLIENT_GONE, TruthEntry, TruthLog, open_truth_file
from tests.support.families import FAMILIES, Family
from tests.support.faults import wait_for
from tests.support.sdk import FAST, NOVA, ask, client

CONTRACT = [
    "seq", "request_id", "received_at", "first_event_at", "first_token_at", "last_token_at", "ended_at", "operation",
    "model_id", "requested_tier", "served_tier", "status", "outcome", "error_code", "input_tokens", "output_tokens",
    "events", "fault", "attempt",
    "cache_read_tokens", "cache_write_tokens",  # beyond the contract
]  # fmt: skip

SLOW = {"default": FAST["default"] | {"output_tokens": {"distribution": "fixed", "median": 8000}}}

StartEmulator = Callable[..., EmulatorProcess]


def request_bytes(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def test_a_line_has_the_fields_of_the_contract_and_the_times_are_in_order(
    start_emulator: StartEmulator, tmp_path: Path
) -> None:
    path = tmp_path / "truth.jsonl"
    emulator = start_emulator(config=FAST, truth_log=path)
    began_at = now()
    list(client(emulator).converse_stream(**ask(serviceTier={"type": "flex"}))["stream"])
    (entry,) = emulator.truth()

    assert list(entry) == CONTRACT
    times = [entry[name] for name in CONTRACT if name.endswith("_at")]
    assert times == sorted(times)
    assert began_at <= times[0]
    assert times[-1] <= now()
    assert (entry["operation"], entry["model_id"]) == ("ConverseStream", NOVA)
    assert (entry["requested_tier"], entry["served_tier"]) == ("flex", "flex")
    assert (entry["status"], entry["outcome"], entry["error_code"]) == (200, "ok", None)
    assert (entry["output_tokens"], entry["attempt"], entry["fault"]) == (50, 1, None)
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [entry]


def test_events_count_every_frame(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    events = list(client(emulator).converse_stream(**ask())["stream"])

    assert emulator.truth()[0]["events"] == len(events)


def test_a_refused_request_is_logged_without_tokens(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config={"default": FAST["default"] | {"quota": {"rpm": 1, "window": "sliding"}}})
    bedrock = client(emulator)
    bedrock.converse(**ask())
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**ask())
    entry = emulator.truth(since=1)[0]

    assert (entry["status"], entry["outcome"], entry["error_code"]) == (429, "throttled", "ThrottlingException")
    assert entry["input_tokens"] is None
    assert entry["served_tier"] is None
    assert entry["first_token_at"] is None


def test_a_client_that_vanishes_in_the_stream_is_logged_with_what_it_got(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=SLOW)
    host, port = emulator.url.removeprefix("http://").split(":")
    body = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request_bytes(f"/model/{NOVA}/converse-stream", body))
        connection.recv(4096)
    entry = wait_for_entry(emulator)

    assert entry["outcome"] == CLIENT_GONE
    assert entry["status"] == 200
    assert entry["output_tokens"] < 8000
    assert emulator.stats()["total"]["in_flight"] == 0


def wait_for_entry(emulator: EmulatorProcess) -> dict[str, Any]:
    for _ in range(200):
        if entries := emulator.truth():
            return entries[0]
        time.sleep(0.02)
    pytest.fail("no entry was written")


def test_what_is_in_flight_when_the_emulator_stops_is_logged(start_emulator: StartEmulator, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    emulator = start_emulator(config=SLOW, truth_log=path)
    stream = iter(client(emulator).converse_stream(**ask())["stream"])
    next(stream)
    emulator.stop()
    (entry,) = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    assert entry["outcome"] == Outcome.ABORTED
    assert entry["first_event_at"] is not None


def test_stats_agree_with_the_log(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    bedrock = client(emulator)
    for tier in ("default", "flex", "flex"):
        bedrock.converse(**ask(serviceTier={"type": tier}))
    truth, stats = emulator.truth(), emulator.stats()

    flex = stats["models"][NOVA]["flex"]
    assert (flex["requests"], flex["in_flight"], flex["outcomes"]) == (2, 0, {"ok": 2})
    assert stats["total"]["output_tokens"] == sum(row["output_tokens"] for row in truth)
    assert stats["total"]["input_tokens"] == sum(row["input_tokens"] for row in truth)


def test_a_reset_begins_the_answers_again(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config={"default": {"latency": FAST["default"]["latency"]}})
    bedrock = client(emulator)
    first = [bedrock.converse(**ask())["usage"]["outputTokens"] for _ in range(5)]
    emulator.reset()
    second = [bedrock.converse(**ask())["usage"]["outputTokens"] for _ in range(5)]

    assert first == second
    assert len(set(first)) > 1
    assert len(emulator.truth(since=5)) == 5


def test_the_endpoint_answers_with_the_lines_of_the_file() -> None:
    log = TruthLog(memory_lines=3)
    for _ in range(5):
        log.append(TruthEntry(outcome="ok"))
    page = log.page(since=1)

    assert [json.loads(line)["seq"] for line in page.to_jsonl().splitlines()] == [3, 4, 5]
    assert page.forgotten == 1
    assert log.page(since=4).forgotten == 0
    assert [json.loads(line)["seq"] for line in log.page(since=2, limit=2).lines] == [3, 4]
    assert log.page(since=9).lines == []


def test_requests_behind_one_whose_client_vanished_are_logged_too(start_emulator: StartEmulator) -> None:
    """Pipelined: read, but their turn never came."""
    emulator = start_emulator(config=SLOW)
    body = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request_bytes(f"/model/{NOVA}/converse-stream", body) * 5)
        connection.recv(10)
    wait_for(lambda: len(emulator.truth()) == 5)

    assert {entry["outcome"] for entry in emulator.truth()} == {CLIENT_GONE}
    assert {entry["model_id"] for entry in emulator.truth()} == {NOVA}
    assert emulator.stats()["total"]["in_flight"] == 0


@pytest.mark.parametrize("query", ["since=-1", "since=abc", "limit=x"])
def test_a_place_in_the_log_is_a_whole_number(start_emulator: StartEmulator, query: str) -> None:
    with pytest.raises(EmulatorError, match=r"400.*whole numbers"):
        start_emulator(config=FAST).request("GET", f"/_emulator/truth?{query}")


def test_after_a_reset_the_log_begins_again(start_emulator: StartEmulator) -> None:
    emulator = start_emulator(config=FAST)
    bedrock = client(emulator)
    bedrock.converse(**ask())
    emulator.reset()

    assert emulator.truth() == []
    bedrock.converse(**ask())
    assert [entry["seq"] for entry in emulator.truth()] == [2]


def test_lines_that_had_to_go_are_not_passed_over_silently() -> None:
    log = TruthLog(memory_lines=2)
    for _ in range(3):
        log.append(TruthEntry(outcome="ok"))
    assert log.page(since=0).forgotten == 1
    log.forget()
    assert log.page(since=0).forgotten == 0
    for _ in range(3):
        log.append(TruthEntry(outcome="ok"))

    assert log.page(since=0).forgotten == 1


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_times_are_in_order_in_the_streams_of_every_family(start_emulator: StartEmulator, family: Family) -> None:
    emulator = start_emulator(config=FAST)
    body = json.dumps(family.body("Any ghost stories?", 20))
    stream = client(emulator).invoke_model_with_response_stream(modelId=family.model_id, body=body)
    list(stream["body"])
    (entry,) = emulator.truth()

    times = [entry[name] for name in CONTRACT if name.endswith("_at")]
    assert times == sorted(times)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that takes nothing")
def test_a_disk_that_is_full_stops_no_answer_and_is_told(start_emulator: StartEmulator, tmp_path: Path) -> None:
    """Places are left, connections stay usable, and nothing is lost from the log in memory."""
    config = {"default": FAST["default"] | {"concurrency": {"limit": 2}}}
    emulator = start_emulator(config=config, truth_log=Path("/dev/full"), log=tmp_path / "log")
    bedrock = client(emulator)
    for _ in range(5):
        assert bedrock.converse(**ask())["stopReason"]

    assert len(emulator.truth()) == 5
    assert emulator.stats()["truth_lines_unwritten"] == 5
    assert "The truth log cannot be written (No space left on device)" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_torn_line_of_an_earlier_emulator_costs_no_line_of_the_next(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text('{"seq": 1}\n{"seq": 2, "requ', encoding="utf-8")
    for _ in range(2):
        with open_truth_file(path) as file:
            file.write(b'{"seq": 3}\n')

    assert path.read_text(encoding="utf-8").splitlines()[1:] == ['{"seq": 2, "requ', '{"seq": 3}', '{"seq": 3}']
