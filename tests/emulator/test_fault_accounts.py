"""What is kept of faults: this project's own client and the truth log agree, quotas are settled, nothing leaks."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from bedrock.client import BedrockClient, make_transport
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord
from emulator.process import EmulatorProcess
from tests.support.faults import add_faults, admin, hits, wait_for
from tests.support.sdk import FAST, NOVA, ask, client

StartEmulator = Callable[..., EmulatorProcess]

STREAM_FAULTS: list[dict[str, Any]] = [
    {"kind": "stream_exception", "exception": "internalServerException"},
    {"kind": "stream_exception", "exception": "modelStreamErrorException"},
    {"kind": "stream_exception", "exception": "validationException"},
    {"kind": "stream_exception", "exception": "throttlingException"},
    {"kind": "stream_exception", "exception": "serviceUnavailableException"},
    {"kind": "stream_exception", "exception": "error"},
    {"kind": "cut", "at": "mid_frame"},
    {"kind": "cut", "at": "mid_frame", "after_events": 0},
    {"kind": "cut", "at": "frame_border"},
    {"kind": "stall", "stall_s": 0.05},
    {"kind": "bad_crc", "part": "prelude"},
    {"kind": "bad_crc", "part": "message"},
    {"kind": "garbage"},
    {"kind": "duplicate_metadata"},
    {"kind": "missing_metadata"},
]
FAULTS_OF_ALL: list[dict[str, Any]] = [
    {"kind": "error", "code": "ThrottlingException"},
    {"kind": "error", "code": "ThrottlingException", "message": "overloaded"},
    {"kind": "error", "code": "ModelNotReadyException"},
    {"kind": "error", "code": "ServiceQuotaExceededException"},
    {"kind": "error", "code": "ModelTimeoutException"},
    {"kind": "error", "code": "ModelErrorException"},
    {"kind": "error", "code": "ModelStreamErrorException"},
    {"kind": "error", "code": "ServiceUnavailableException", "message": "connections"},
    {"kind": "error", "code": "InternalServerException"},
    {"kind": "error", "code": "ValidationException"},
    {"kind": "error", "code": "AccessDeniedException"},
    {"kind": "error", "code": "ResourceNotFoundException"},
    {"kind": "error", "code": "SomethingElse", "status": 529},
    {"kind": "cut", "at": "before_headers"},
    {"kind": "trickle", "bytes_per_s": 20_000},
    {"kind": "delay", "delay_s": 0.05},
    {"kind": "outage"},
    {"kind": "outage", "mode": "refuse_connection"},
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    log = tmp_path_factory.mktemp("emulator") / "log"
    with EmulatorProcess(FAST, seed=1, log=log) as emulator:
        yield emulator
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    """The same one for all tests, its rules removed."""
    admin(running, "DELETE", "/_emulator/faults")
    return running


def called(emulator: EmulatorProcess, api: str, read_timeout_s: float = 30.0) -> InvocationRecord:
    """A call of this project's own client."""
    endpoint = Endpoint("us-east-1", emulator.url)
    transport = make_transport("boto3", endpoint, pool_size=2, read_timeout_s=read_timeout_s)
    record = InvocationRecord("run", "cell", "local", 0, "m")
    BedrockClient(transport).invoke(Invocation(api, NOVA, "Where is my order?", 200), record)
    return record


def streaming_request() -> bytes:
    body = b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}'
    head = f"POST /model/{NOVA}/converse-stream HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def open_connections(emulator: EmulatorProcess) -> int:
    count: int = emulator.stats()["connections"]
    return count


# --- the two sides agree -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "rule"),
    [("converse_stream", rule) for rule in STREAM_FAULTS + FAULTS_OF_ALL]
    + [("converse", rule) for rule in FAULTS_OF_ALL],
)
def test_the_projects_own_client_records_what_the_truth_log_says_and_nothing_stays_open(
    emulator: EmulatorProcess, api: str, rule: dict[str, Any]
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, rule)
    record = called(emulator, api)
    (entry,) = emulator.truth(before)

    assert entry["fault"] is not None
    assert record.outcome == entry["outcome"]
    assert record.http_status == entry["status"]
    if entry["error_code"] is not None:
        assert record.error_code == entry["error_code"]
    if api == "converse_stream" and entry["status"] == 200:
        assert record.events == entry["events"]
        assert (record.first_token_at is None) == (entry["first_token_at"] is None)
    assert emulator.stats()["total"]["in_flight"] == 0
    wait_for(lambda: open_connections(emulator) == 1)  # that of the question


@pytest.mark.parametrize(
    ("api", "rule"),
    [
        ("converse_stream", {"kind": "stall"}),
        ("converse_stream", {"kind": "delay", "delay_s": 600}),
        ("converse", {"kind": "delay", "delay_s": 600}),
        ("converse", {"kind": "error", "code": "InternalServerException", "delay_s": 600}),
        ("converse_stream", {"kind": "trickle", "bytes_per_s": 0.01}),
    ],
)
def test_what_the_client_calls_a_timeout_the_server_calls_a_client_that_has_gone(
    emulator: EmulatorProcess, api: str, rule: dict[str, Any]
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, rule)
    record = called(emulator, api, read_timeout_s=0.3)
    wait_for(lambda: len(emulator.truth()) > before)

    assert record.outcome == "timeout"
    assert emulator.truth(before)[0]["outcome"] == "client_gone"


# --- quotas --------------------------------------------------------------------------------------------------


def limited(quota: dict[str, Any], *faults: dict[str, Any]) -> dict[str, Any]:
    return {"default": FAST["default"] | {"quota": {"window": "sliding", **quota}}, "faults": list(faults)}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "ThrottlingException"},
        {"kind": "outage"},
        {"kind": "outage", "mode": "refuse_connection"},
    ],
)
def test_a_call_that_a_fault_refuses_takes_nothing_of_the_quota(
    start_emulator: StartEmulator, fault: dict[str, Any]
) -> None:
    bedrock = client(start_emulator(config=limited({"rpm": 1}, {**fault, "count": 3})))
    for _ in range(3):
        with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.ConnectionClosedError)):
            bedrock.converse(**ask())
    bedrock.converse(**ask())

    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**ask())


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "stream_exception", "exception": "internalServerException"},
        {"kind": "cut", "at": "mid_frame"},
        {"kind": "cut", "at": "frame_border"},
        {"kind": "bad_crc"},
        {"kind": "garbage"},
        {"kind": "stall"},
    ],
)
def test_a_broken_stream_is_charged_for_what_was_generated_and_no_more(
    start_emulator: StartEmulator, fault: dict[str, Any]
) -> None:
    """Reserved are 1,000 tokens of 1,100, used up to 50: a second call fits only if the first was settled."""
    emulator = start_emulator(config=limited({"tpm": 1_100}, {**fault, "count": 1}))
    request = ask("Hi", inferenceConfig={"maxTokens": 1_000})
    stream = client(emulator).converse_stream(**request)["stream"]
    for _ in range(3):
        next(iter(stream))
    stream.close()
    wait_for(lambda: emulator.truth() != [])

    assert client(emulator).converse(**request)["usage"]["outputTokens"] == 50
    with pytest.raises(botocore.exceptions.ClientError, match="Too many tokens"):
        client(emulator).converse(**ask("Hi", inferenceConfig={"maxTokens": 1_090}))


def test_a_call_that_a_quota_refuses_is_not_hit(start_emulator: StartEmulator) -> None:
    """There is no answer to be cut."""
    emulator = start_emulator(config=limited({"rpm": 1}, {"kind": "cut", "at": "frame_border"}))
    list(client(emulator).converse_stream(**ask())["stream"])
    with pytest.raises(botocore.exceptions.ClientError, match="Too many requests"):
        client(emulator).converse_stream(**ask())

    assert hits(emulator) == [1]

    assert [(entry["outcome"], entry["fault"]) for entry in emulator.truth()] == [
        ("truncated", "cut:frame_border"), ("throttled", None),
    ]  # fmt: skip


@pytest.mark.parametrize("tier", ["default", "flex"])
def test_a_call_that_finds_no_place_is_not_hit(start_emulator: StartEmulator, tier: str) -> None:
    """It is turned away at once, or, in the flex tier, after its time in the queue."""
    busy = {"latency": {"ttft_ms": 600_000}, "concurrency": {"limit": 1, "flex_wait_s": 0.1}}
    emulator = start_emulator(config={"default": busy, "faults": [{"kind": "cut", "at": "frame_border"}]})
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(streaming_request())
        wait_for(lambda: emulator.stats()["total"]["in_flight"] == 1)
        with pytest.raises(botocore.exceptions.ClientError, match="ServiceUnavailableException"):
            client(emulator).converse_stream(**ask(serviceTier={"type": tier}))

        assert emulator.truth()[0]["fault"] is None
        assert hits(emulator) == [1]


# --- nothing is left behind ----------------------------------------------------------------------------------


def test_clients_that_leave_in_the_middle_of_a_fault_free_all_they_held(emulator: EmulatorProcess) -> None:
    rules: list[dict[str, Any]] = [
        {"kind": "stall"}, {"kind": "trickle", "bytes_per_s": 1}, {"kind": "delay", "delay_s": 600},
        {"kind": "error", "code": "InternalServerException", "delay_s": 600},
    ]  # fmt: skip
    host, port = emulator.url.removeprefix("http://").split(":")
    before = len(emulator.truth())
    for rule in rules:
        admin(emulator, "DELETE", "/_emulator/faults")
        add_faults(emulator, rule)
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(streaming_request())
            wait_for(lambda: emulator.stats()["total"]["in_flight"] == 1)
        wait_for(lambda: emulator.stats()["total"]["in_flight"] == 0)

    assert [entry["outcome"] for entry in emulator.truth(before)] == ["client_gone"] * 4
    wait_for(lambda: open_connections(emulator) == 1)


def test_what_was_still_planned_for_a_broken_answer_does_nothing(start_emulator: StartEmulator, tmp_path: Path) -> None:
    slow: dict[str, Any] = {
        "default": FAST["default"] | {"latency": {"ttft_ms": 1, "tokens_per_second": 40, "tokens_per_event": 1}}
    }
    slow["default"]["output_tokens"] = 20
    log = tmp_path / "log"
    emulator = start_emulator(config=slow | {"faults": [{"kind": "cut", "at": "mid_frame", "count": 5}]}, log=log)
    for _ in range(5):
        assert called(emulator, "converse_stream").outcome == "truncated"
    assert called(emulator, "converse_stream").outcome == "ok"  # as long as the others would have taken

    assert [entry["events"] for entry in emulator.truth()[:5]] == [3] * 5
    assert "Traceback" not in log.read_text(encoding="utf-8")


def test_a_stop_ends_answers_that_a_fault_holds(start_emulator: StartEmulator, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    emulator = start_emulator(config=FAST | {"faults": [{"kind": "stall"}]}, truth_log=path)
    stream = client(emulator).converse_stream(**ask())["stream"]
    next(iter(stream))
    emulator.stop()

    assert '"outcome":"aborted"' in path.read_text(encoding="utf-8")
    assert '"fault":"stall"' in path.read_text(encoding="utf-8")
