"""Answers that are well framed and yet odd, over both transports: an outcome each, the same, and never an exception."""

import base64
import json

import pytest

from bedrock.client import TRANSPORTS, BedrockClient, make_transport
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome
from tests.support.scripted_server import (
    METADATA,
    START,
    STOP,
    delta,
    error,
    event,
    exception,
    frame,
    serving,
    stream,
    until_closed,
    whole,
)

NOVA = "us.amazon.nova-pro-v1:0"
GOOD = [START, delta("a"), STOP, METADATA]
WHOLE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
    "metrics": {"latencyMs": 9},
}

Seen = tuple[Outcome | None, str | None, int | None, int | None, str | None]


def seen(answer: bytes, api: str = "converse_stream", *, hold: bool = False) -> list[Seen]:
    """What each transport makes of an answer: outcome, code, status, number of events and message."""
    found = []
    for name in TRANSPORTS:
        record = InvocationRecord("run", "cell", "local", 0, "m")
        with serving(answer, hold=hold) as url:
            transport = make_transport(name, Endpoint("us-east-1", url), pool_size=1, read_timeout_s=20.0)
            BedrockClient(transport).invoke(Invocation(api, NOVA, "hello", 100), record)
            transport.close()
        found.append((record.outcome, record.error_code, record.http_status, record.events, record.error_message))
    return found


def said_by_both(answer: bytes, api: str = "converse_stream", *, hold: bool = False) -> Seen:
    """What both transports make of an answer."""
    wire, sdk = seen(answer, api, hold=hold)
    assert wire == sdk
    return wire


def raw(kind: str, payload: bytes) -> bytes:
    return frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)


def chunk(document: object) -> bytes:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return event("chunk", {"bytes": base64.b64encode(data).decode()})


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("behind", [[], [delta("more")], [b"no frame at all, and long enough to be read as one"]])
def test_an_exception_frame_ends_the_call_whatever_comes_or_does_not_come_behind_it(
    behind: list[bytes], *, hold: bool
) -> None:
    frames = [START, delta("a"), exception("throttlingException", "slow down"), *behind]

    outcome, code, status, events, _ = said_by_both(stream(frames, ended=False), hold=hold)

    assert (outcome, code, status, events) == (Outcome.THROTTLED, "ThrottlingException", 200, 2)


@pytest.mark.parametrize("kind", ["messageStart", "contentBlockDelta", "messageStop", "metadata"])
@pytest.mark.parametrize("payload", [b"not JSON", b"", b"[1]", b"null", b"{}", b'"text"', b"\xff\xfe"])
def test_an_event_that_is_no_json_object_is_a_stream_error(kind: str, payload: bytes) -> None:
    outcome, code, _, events, _ = said_by_both(stream([START, raw(kind, payload), STOP, METADATA]))

    assert (outcome, code, events) == (Outcome.STREAM_ERROR, "InvalidEventStream", 1)


@pytest.mark.parametrize(
    "payload", [b'{"delta": [1]}', b'{"delta": "text"}', b'{"contentBlockIndex": 0}', b'{"delta": {"text": 7}}']
)
def test_a_delta_of_another_shape_is_a_stream_error_and_never_a_token(payload: bytes) -> None:
    for outcome, code, *_ in seen(stream([START, raw("contentBlockDelta", payload), STOP, METADATA])):
        assert (outcome, code) in [(Outcome.STREAM_ERROR, "InvalidEventStream"), (Outcome.OK, None)]


def test_deeply_nested_json_ends_the_call_and_not_the_user() -> None:
    payload = b'{"delta":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    for outcome, *_ in seen(stream([START, raw("contentBlockDelta", payload), STOP, METADATA])):
        assert outcome is Outcome.STREAM_ERROR


@pytest.mark.parametrize("data", [b"not JSON", b"[1]", b'"text"', b"null"])
def test_a_chunk_that_is_no_json_object_is_a_stream_error(data: bytes) -> None:
    outcome, code, *_ = said_by_both(stream([chunk(data)]), "invoke_model_stream")

    assert (outcome, code) == (Outcome.STREAM_ERROR, "InvalidEventStream")


@pytest.mark.parametrize("payload", [b"{}", b'{"bytes": "%%%"}', b'{"p": "abc"}'])
def test_a_chunk_without_readable_bytes_is_a_stream_error(payload: bytes) -> None:
    for outcome, *_ in seen(stream([raw("chunk", payload)]), "invoke_model_stream"):
        assert outcome is Outcome.STREAM_ERROR


@pytest.mark.parametrize("api", ["converse", "invoke_model"])
@pytest.mark.parametrize(
    "body", [b"<html>ok</html>", b"[1]", b"null", b"7", b"{}", b'{"output": [1]}', b'{"output": {"message": "x"}}']
)
def test_a_whole_answer_that_is_none_of_the_operation_is_a_server_error(body: bytes, api: str) -> None:
    outcome, code, status, *_ = said_by_both(whole(body), api)

    assert (outcome, code, status) == (Outcome.SERVER_ERROR, "InvalidResponse", 200)


@pytest.mark.parametrize("body", [b"[1]", b"null", b'"down"', b"<html>down</html>", b""])
@pytest.mark.parametrize("api", ["converse", "converse_stream"])
def test_the_page_of_a_gateway_is_an_error_by_its_status(body: bytes, api: str) -> None:
    for outcome, _, status, *_ in seen(whole(body, "502 Bad Gateway"), api):
        assert (outcome, status) == (Outcome.SERVER_ERROR, 502)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_answer_that_ends_with_its_connection_is_read_in_full(version: str) -> None:
    answers = {
        "converse": (whole(json.dumps(WHOLE).encode()), Outcome.OK, 200),
        "converse_stream": (error(429, "ThrottlingException", "Too many requests"), Outcome.THROTTLED, 429),
    }
    for api, (answer, outcome, status) in answers.items():
        assert said_by_both(until_closed(answer, version), api)[0:3:2] == (outcome, status)


def test_a_stream_that_ends_with_its_connection_is_whole_or_truncated_by_its_events() -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n\r\n"

    assert said_by_both(head + b"".join(GOOD))[0] is Outcome.OK
    assert said_by_both(head + b"".join(GOOD[:-1]))[0] is Outcome.TRUNCATED
    assert said_by_both(head + b"".join(GOOD)[:-3])[0] is Outcome.TRUNCATED
