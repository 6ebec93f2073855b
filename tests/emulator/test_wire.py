"""The bytes on the wire, read without an SDK."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from emulator.process import EmulatorProcess
from tests.support.raw_http import read_chunks, read_head
from tests.support.sdk import NOVA

BODY = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@contextmanager
def connected(emulator: EmulatorProcess) -> Iterator[Any]:
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10.0) as connection, connection.makefile("rb") as reader:
        yield connection, reader


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(emulator: EmulatorProcess, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with connected(emulator) as (connection, reader):
        connection.sendall(request)
        status, fields = read_head(reader)
        return status, fields, reader.read(int(fields["content-length"]))


def test_every_frame_is_a_chunk_of_its_own_and_botocore_reads_them_all(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(post(f"/model/{NOVA}/converse-stream", json.dumps(BODY).encode()))
        status, fields = read_head(reader)
        chunks = read_chunks(reader)

    assert status == 200
    assert fields["transfer-encoding"] == "chunked"
    assert fields["content-type"] == "application/vnd.amazon.eventstream"
    assert fields["x-amzn-requestid"]
    assert "content-length" not in fields
    for chunk in chunks:
        buffer = EventStreamBuffer()
        buffer.add_data(chunk)
        (message,) = list(buffer)
        payload = json.loads(message.payload)
        assert list(message.headers) == [":event-type", ":content-type", ":message-type"]
        assert message.headers[":content-type"] == "application/json"
        assert list(payload) == sorted(payload)
        assert ALPHABET.startswith(payload["p"])
        assert len(payload["p"]) >= 2


def test_an_error_is_worded_and_labelled_as_the_service_does(emulator: EmulatorProcess) -> None:
    status, fields, body = exchange(emulator, post("/model/no-such-model/converse", json.dumps(BODY).encode()))

    assert status == 400
    assert fields["x-amzn-errortype"] == "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"
    assert json.loads(body) == {"message": "The provided model identifier is invalid."}
    assert fields["x-amzn-requestid"]


@pytest.mark.parametrize("path", [f"/model/{NOVA}/converse", "/model/amazon.nova-pro-v1%3A0/converse"])
def test_model_ids_come_raw_or_percent_encoded(emulator: EmulatorProcess, path: str) -> None:
    status, _, _ = exchange(emulator, post(path, json.dumps(BODY).encode()))

    assert status == 200


def test_a_connection_is_kept_for_the_next_request(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        for _ in range(3):
            connection.sendall(post(f"/model/{NOVA}/converse-stream", json.dumps(BODY).encode()))
            assert read_head(reader)[0] == 200
            assert len(read_chunks(reader)) > 5


def test_requests_sent_ahead_are_answered_one_after_the_other(emulator: EmulatorProcess) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(post(f"/model/{NOVA}/converse", json.dumps(BODY).encode()) * 3)
        for _ in range(3):
            status, fields = read_head(reader)
            assert status == 200
            assert json.loads(reader.read(int(fields["content-length"])))["stopReason"] == "end_turn"


def test_a_request_in_pieces_is_read_whole(emulator: EmulatorProcess) -> None:
    request = post(f"/model/{NOVA}/converse", json.dumps(BODY).encode())
    with connected(emulator) as (connection, reader):
        for start in range(0, len(request), 17):
            connection.sendall(request[start : start + 17])
        assert read_head(reader)[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"POST /model/m/converse HTTP/1.1\r\nHost: x\r\nContent-Length: 26000000\r\n\r\n", 413),
    ],
)
def test_what_is_no_acceptable_request_is_refused_and_the_connection_closed(
    emulator: EmulatorProcess, request_bytes: bytes, status: int
) -> None:
    with connected(emulator) as (connection, reader):
        connection.sendall(request_bytes)
        seen, fields = read_head(reader)
        rest = reader.read(int(fields["content-length"]))

        assert seen == status
        assert json.loads(rest)["message"]
        assert reader.read() == b""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Malformed input request"),
        (b"[]", "expected type: JSONObject"),
        (b"{}", "'messages'"),
        (b'{"messages": "hello"}', "Malformed input request"),
        (b'{"messages": [{"role": "user", "content": []}]}', "is empty"),
        (b'{"messages": [{"role": "user", "content": [{"text": " "}]}]}', "is blank"),
        (b'{"messages": [{"role": "robot", "content": [{"text": "x"}]}]}', "enum value set"),
        (b'{"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}', "must start with a user message"),
        (b"\xff\xfe", "Malformed input request"),
    ],
)
def test_a_body_that_is_no_request_gets_a_validation_error(
    emulator: EmulatorProcess, body: bytes, message: str
) -> None:
    status, fields, answer = exchange(emulator, post(f"/model/{NOVA}/converse", body))

    assert status == 400
    assert fields["x-amzn-errortype"].startswith("ValidationException:")
    assert message in json.loads(answer)["message"]


def test_unknown_paths_and_methods_are_no_operations(emulator: EmulatorProcess) -> None:
    for request in (post("/nothing", b"{}"), f"GET /model/{NOVA}/converse HTTP/1.1\r\nHost: x\r\n\r\n".encode()):
        status, fields, _ = exchange(emulator, request)
        assert status == 404
        assert fields["x-amzn-errortype"].startswith("UnknownOperationException")


def test_the_emulators_own_endpoints(emulator: EmulatorProcess) -> None:
    status, _, body = exchange(emulator, b"GET /_emulator/health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, json.loads(body)["status"]) == (200, "ok")

    status, fields, _ = exchange(emulator, b"POST /_emulator/stats HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (status, fields["allow"]) == (405, "GET")

    status, _, body = exchange(emulator, b"GET /_emulator/thruth HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 404
    assert "/_emulator/truth" in json.loads(body)["message"]
