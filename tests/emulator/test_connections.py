"""What connections do beyond the plain case: old and newer HTTP, slow readers, clients that leave or speak TLS."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest

from bedrock.eventstream import FrameDecoder
from emulator.process import EmulatorProcess
from tests.support.raw_http import read_chunks, read_head
from tests.support.sdk import NOVA

BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()
LONG_ANSWER = {
    "default": {
        "latency": {"ttft_ms": 1, "prefill_ms_per_token": 0, "tokens_per_second": 50_000, "tokens_per_event": 1},
        "output_tokens": 40_000,
    }
}
NEVER_ANSWERS = {"default": {"latency": {"ttft_ms": 600_000}}}


@contextmanager
def connected(emulator: EmulatorProcess, receive_buffer: int | None = None) -> Iterator[tuple[socket.socket, BinaryIO]]:
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(30.0)
        connection.connect((host, int(port)))
        with connection.makefile("rb") as reader:
            yield connection, reader


def post(operation: str, *headers: str, version: str = "1.1", model_id: str = NOVA) -> bytes:
    lines = [f"POST /model/{model_id}/{operation} HTTP/{version}", "Host: x", f"Content-Length: {len(BODY)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + BODY


def read_answer(reader: BinaryIO) -> dict[str, Any]:
    status, fields = read_head(reader)
    assert status == 200
    document: dict[str, Any] = json.loads(reader.read(int(fields["content-length"])))
    return document


def test_an_offer_to_upgrade_is_passed_over_and_the_request_answered(emulator: EmulatorProcess) -> None:
    """Java's own HTTP client and curl --http2 offer h2c with every first request."""
    request = post("converse", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    with connected(emulator) as (connection, reader):
        for _ in range(2):
            connection.sendall(request)
            assert read_answer(reader)["stopReason"] == "end_turn"


def test_who_asks_whether_to_go_on_is_not_told_in_the_middle_of_another_answer(emulator: EmulatorProcess) -> None:
    """The request behind asks while the stream before it is still running."""
    with connected(emulator) as (connection, reader):
        connection.sendall(post("converse-stream"))
        assert read_head(reader)[0] == 200
        connection.sendall(post("converse", "Expect: 100-continue"))
        assert FrameDecoder().feed(b"".join(read_chunks(reader)))[-1].headers[":event-type"] == "metadata"
        assert read_answer(reader)["stopReason"] == "end_turn"


def test_an_offer_to_upgrade_may_come_in_pieces(emulator: EmulatorProcess) -> None:
    request = post("converse", "Connection: Upgrade", "Upgrade: h2c")
    with connected(emulator) as (connection, reader):
        connection.sendall(request[:-10])
        time.sleep(0.05)
        connection.sendall(request[-10:])
        assert read_answer(reader)["stopReason"] == "end_turn"


def test_a_client_of_http_1_0_gets_frames_without_chunks_and_then_the_end(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(post("converse-stream", version="1.0"))
        status, fields = read_head(reader)
        frames = FrameDecoder().feed(reader.read())

    assert (status, fields["connection"]) == (200, "close")
    assert "transfer-encoding" not in fields
    assert frames[0].event_type == "messageStart"
    assert frames[-1].event_type == "metadata"


def test_a_client_that_asks_to_close_gets_its_answer_and_the_end(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(post("converse", "Connection: close"))
        read_answer(reader)
        assert reader.read() == b""


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(emulator: EmulatorProcess) -> None:
    head, body = post("converse", "Expect: 100-continue")[: -len(BODY)], BODY
    with connected(emulator) as (connection, reader):
        connection.sendall(head)
        assert read_head(reader)[0] == 100
        connection.sendall(body)
        assert read_answer(reader)["stopReason"] == "end_turn"


def test_tls_is_answered_with_what_to_do(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        status, fields = read_head(reader)

        assert status == 400
        assert "use http://" in json.loads(reader.read(int(fields["content-length"])))["message"]


def test_an_answer_to_head_has_no_body(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(b"HEAD /_emulator/health HTTP/1.1\r\nHost: x\r\n\r\n" + post("converse"))
        assert read_head(reader)[0] == 405
        assert read_answer(reader)["stopReason"] == "end_turn"


def test_after_what_is_no_request_the_answers_before_it_still_come(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(post("converse") + b"nonsense\r\n\r\n")
        assert read_answer(reader)["stopReason"] == "end_turn"
        assert read_head(reader)[0] == 400


def test_a_slow_reader_gets_every_frame_whole(start_emulator: Any) -> None:
    """Some 6 MB, more than the socket takes at once: the rest waits and nothing is lost or torn."""
    emulator = start_emulator(config=LONG_ANSWER)
    with connected(emulator, receive_buffer=2048) as (connection, reader):
        connection.sendall(post("converse-stream", model_id="amazon.nova-2-lite-v1:0"))
        wait_for(lambda: emulator.stats()["total"]["outcomes"].get("ok") == 1)
        read_head(reader)
        frames = [FrameDecoder().feed(chunk) for chunk in read_chunks(reader)]

    assert all(len(one) == 1 for one in frames)
    assert json.loads(frames[-1][0].payload)["usage"]["outputTokens"] == 40_000


@pytest.mark.parametrize(("operation", "events"), [("converse", None), ("converse-stream", 0)])
def test_a_client_that_leaves_before_its_answer_is_logged(
    start_emulator: Any, operation: str, events: int | None
) -> None:
    emulator = start_emulator(config=NEVER_ANSWERS)
    with connected(emulator) as (connection, _):
        connection.sendall(post(operation))
        wait_for(lambda: emulator.stats()["total"]["in_flight"] == 1)
    wait_for(lambda: emulator.truth() != [])
    (entry,) = emulator.truth()

    assert entry["outcome"] == "client_gone"
    assert entry["status"] is None
    assert entry["first_event_at"] is None
    assert entry["ended_at"] >= entry["received_at"]
    assert entry["events"] == events
    assert emulator.stats()["total"]["in_flight"] == 0


def wait_for(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen")
