"""Faults on the wire: which bytes come, which do not, and what becomes of the connection."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from zlib import crc32

import botocore.exceptions
import pytest

from bedrock.eventstream import FrameDecoder, MessageChecksumError, PreludeChecksumError, decode_frame
from emulator.fault_delivery import NOT_JSON
from emulator.process import EmulatorProcess
from tests.support.faults import add_faults, admin, hits, last_entry
from tests.support.raw_http import read_chunks, read_head
from tests.support.sdk import FAST, NOVA, ask, client

BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()

StartEmulator = Callable[..., EmulatorProcess]


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    """The same one for all tests, its rules removed."""
    admin(running, "DELETE", "/_emulator/faults")
    return running


@contextmanager
def connected(emulator: EmulatorProcess) -> Iterator[tuple[socket.socket, BinaryIO]]:
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection, connection.makefile("rb") as reader:
        yield connection, reader


def post(operation: str = "converse-stream", version: str = "1.1") -> bytes:
    lines = [f"POST /model/{NOVA}/{operation} HTTP/{version}", "Host: x", f"Content-Length: {len(BODY)}"]
    return "\r\n".join([*lines, "", ""]).encode() + BODY


# --- streams -----------------------------------------------------------------------------------------------------


def test_a_cut_at_a_border_is_a_clean_end_and_the_connection_serves_on(emulator: EmulatorProcess) -> None:
    add_faults(emulator, {"kind": "cut", "at": "frame_border", "after_events": 4, "count": 1})
    with connected(emulator) as (connection, reader):
        connection.sendall(post())
        assert read_head(reader)[0] == 200
        broken = [decode_frame(chunk) for chunk in read_chunks(reader)]
        connection.sendall(post())
        assert read_head(reader)[0] == 200
        whole = [decode_frame(chunk) for chunk in read_chunks(reader)]

    assert [frame.event_type for frame in broken] == [frame.event_type for frame in whole][:4]
    assert whole[-1].event_type == "metadata"


def test_a_cut_inside_a_frame_leaves_a_chunk_that_is_shorter_than_it_says(emulator: EmulatorProcess) -> None:
    add_faults(emulator, {"kind": "cut", "at": "mid_frame", "after_events": 2})
    with connected(emulator) as (connection, reader):
        connection.sendall(post())
        read_head(reader)
        for _ in range(2):
            decode_frame(reader.read(int(reader.readline(), 16)))
            assert reader.read(2) == b"\r\n"
        announced_bytes = int(reader.readline(), 16)
        rest = reader.read()

    assert 0 < len(rest) < announced_bytes


def test_a_cut_before_the_headers_sends_no_byte(emulator: EmulatorProcess) -> None:
    add_faults(emulator, {"kind": "cut", "at": "before_headers"})
    with connected(emulator) as (connection, reader):
        connection.sendall(post())
        assert reader.read() == b""


def test_requests_behind_a_cut_answer_are_not_answered(emulator: EmulatorProcess) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "cut", "at": "mid_frame", "count": 1})
    with connected(emulator) as (connection, reader):
        connection.sendall(post() + post())
        reader.read()

    cut, behind = emulator.truth(since=before)
    assert (cut["outcome"], cut["events"]) != (behind["outcome"], behind["events"])
    assert (behind["outcome"], behind["status"], behind["events"]) == ("connection_error", None, None)


@pytest.mark.parametrize(("part", "error"), [("prelude", PreludeChecksumError), ("message", MessageChecksumError)])
def test_only_the_checksum_asked_for_is_wrong(emulator: EmulatorProcess, part: str, error: type[Exception]) -> None:
    add_faults(emulator, {"kind": "bad_crc", "part": part, "after_events": 1})
    with connected(emulator) as (connection, reader):
        connection.sendall(post())
        read_head(reader)
        good, bad = read_chunks(reader)
    decode_frame(good)
    checksums = int.from_bytes(bad[8:12], "big"), int.from_bytes(bad[-4:], "big")
    are_right = [checksums[0] == crc32(bad[:8]), checksums[1] == crc32(bad[:-4])]

    with pytest.raises(error):
        FrameDecoder().feed(bad)
    assert are_right == [part != "prelude", part != "message"]
    assert int.from_bytes(bad[:4], "big") == len(bad)


def test_garbage_comes_from_the_seed(start_emulator: StartEmulator) -> None:
    def garbage(seed: int) -> list[bytes]:
        emulator = start_emulator(config=FAST | {"faults": [{"kind": "garbage", "after_events": 1}]}, seed=seed)
        found = []
        for _ in range(2):
            with connected(emulator) as (connection, reader):
                connection.sendall(post())
                read_head(reader)
                found.append(read_chunks(reader)[1])
        return found

    one, again, other = garbage(1), garbage(1), garbage(2)
    assert one == again
    assert len({*one, *other}) == 4


def test_an_exception_frame_has_the_members_of_its_exception(emulator: EmulatorProcess) -> None:
    rule = {"exception": "modelStreamErrorException", "original_status_code": 503, "original_message": "{model} fell"}
    add_faults(emulator, {"kind": "stream_exception", "after_events": 0, **rule})
    with connected(emulator) as (connection, reader):
        connection.sendall(post())
        read_head(reader)
        (frame,) = [decode_frame(chunk) for chunk in read_chunks(reader)]

    assert frame.headers == {
        ":exception-type": "modelStreamErrorException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    document = json.loads(frame.payload)
    assert (document["originalStatusCode"], document["originalMessage"]) == (503, f"{NOVA} fell")
    assert document["message"]


def test_a_client_of_http_1_0_sees_the_connection_end(emulator: EmulatorProcess) -> None:
    add_faults(emulator, {"kind": "cut", "at": "frame_border"})
    with connected(emulator) as (connection, reader):
        connection.sendall(post(version="1.0"))
        read_head(reader)
        frames = FrameDecoder().feed(reader.read())

    assert [frame.event_type for frame in frames] == ["messageStart", "contentBlockDelta", "contentBlockDelta"]


# --- answers in one piece ------------------------------------------------------------------------------------


def test_a_whole_answer_can_lose_half_of_its_body(emulator: EmulatorProcess) -> None:
    """The SDK does not compare the length with the header and takes what is left for an empty answer."""
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "cut", "at": "mid_frame"})
    with connected(emulator) as (connection, reader):
        connection.sendall(post("converse"))
        status, fields = read_head(reader)
        body = reader.read()
    entry = last_entry(emulator, before)

    assert (status, len(body)) == (200, int(fields["content-length"]) // 2)
    assert (entry["status"], entry["outcome"], entry["output_tokens"]) == (200, "connection_error", None)
    assert "output" not in client(emulator).converse(**ask())


def test_a_whole_answer_can_be_no_json(emulator: EmulatorProcess) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "garbage", "count": 1})
    with connected(emulator) as (connection, reader):
        connection.sendall(post("converse"))
        _, fields = read_head(reader)
        body = reader.read(int(fields["content-length"]))
        connection.sendall(post("converse"))
        assert read_head(reader)[0] == 200, "the connection serves on"
    entry = emulator.truth(before)[0]

    assert (body, fields["content-type"]) == (NOT_JSON, "application/json")
    assert (entry["status"], entry["outcome"], entry["fault"]) == (200, "server_error", "garbage")


def count_tokens(bedrock: Any) -> dict[str, Any]:
    messages = ask()["messages"]
    answer: dict[str, Any] = bedrock.count_tokens(modelId=NOVA, input={"converse": {"messages": messages}})
    return answer


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"kind": "delay", "delay_s": 0.2}, "ok"),
        ({"kind": "trickle", "bytes_per_s": 5_000}, "ok"),
        ({"kind": "garbage"}, "server_error"),
        ({"kind": "cut", "at": "mid_frame"}, "connection_error"),
    ],
)
def test_a_count_of_tokens_is_a_whole_answer_too(
    emulator: EmulatorProcess, bedrock: Any, rule: dict[str, Any], outcome: str
) -> None:
    usual = count_tokens(bedrock)
    before = len(emulator.truth())
    add_faults(emulator, {**rule, "match": {"operation": "CountTokens"}})
    answer = count_tokens(bedrock)
    entry = last_entry(emulator, before)

    assert (answer.get("inputTokens") == usual["inputTokens"]) == (outcome == "ok")
    assert (entry["operation"], entry["outcome"], entry["status"]) == ("CountTokens", outcome, 200)
    assert entry["output_tokens"] is None
    assert entry["ended_at"] - entry["received_at"] >= rule.get("delay_s", 0)


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"kind": "error", "code": "AccessDeniedException"}, "AccessDeniedException"),
        ({"kind": "outage"}, "ServiceUnavailableException"),
    ],
)
def test_a_count_of_tokens_can_fail(emulator: EmulatorProcess, bedrock: Any, rule: dict[str, Any], error: str) -> None:
    add_faults(emulator, rule)
    with pytest.raises(botocore.exceptions.ClientError, match=error):
        count_tokens(bedrock)

    assert emulator.truth()[-1]["outcome"] in ("client_error", "overloaded")
    assert emulator.truth()[-1]["input_tokens"] is None


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
def test_a_trickle_is_never_faster_than_its_rate(emulator: EmulatorProcess, operation: str) -> None:
    before = len(emulator.truth())
    rate = 20_000
    add_faults(emulator, {"kind": "trickle", "bytes_per_s": rate})
    with connected(emulator) as (connection, reader):
        connection.sendall(post(operation))
        _, fields = read_head(reader)
        if operation == "converse":
            size = len(reader.read(int(fields["content-length"])))
        else:
            chunks = read_chunks(reader)
            size = sum(map(len, chunks))
            assert FrameDecoder().feed(b"".join(chunks))[-1].event_type == "metadata"
    entry = last_entry(emulator, before)

    assert entry["outcome"] == "ok"
    assert entry["output_tokens"] == 50
    assert entry["ended_at"] - entry["received_at"] >= (size - rate / 50) / rate


def test_a_slow_trickle_comes_byte_by_byte(emulator: EmulatorProcess) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "trickle", "bytes_per_s": 40})
    with connected(emulator) as (connection, _):
        connection.sendall(post("converse"))
        received = b""
        while len(received) < 8:
            received += connection.recv(1)
    entry = last_entry(emulator, before)

    assert (entry["status"], entry["outcome"]) == (200, "client_gone")
    assert entry["output_tokens"] is None
    assert entry["ended_at"] - entry["received_at"] >= 7 / 40


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "stall"}, {"kind": "bad_crc"}, {"kind": "duplicate_metadata"}, {"kind": "missing_metadata"},
        {"kind": "stream_exception", "exception": "throttlingException"}, {"kind": "cut", "at": "frame_border"},
    ],
)  # fmt: skip
def test_what_only_streams_can_have_does_not_touch_a_whole_answer(
    emulator: EmulatorProcess, bedrock: Any, rule: dict[str, Any]
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, rule)

    assert bedrock.converse(**ask())["stopReason"] == "end_turn"
    assert last_entry(emulator, before)["fault"] is None
    assert hits(emulator) == [0]
