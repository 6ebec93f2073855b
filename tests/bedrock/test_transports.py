"""Both transports over real HTTP, against answers both good and broken: one behaviour, one record."""

import json
import logging
from collections.abc import Callable

import pytest

from bedrock.client import TRANSPORTS, BedrockClient, make_transport
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome
from bedrock.transcript import Transcript
from tests.support.scripted_server import METADATA, START, STOP, delta, error, event, exception, frame, serving, stream

REASONING = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hmm"}}})
GOOD = [START, delta("こん"), delta("にちは"), STOP, METADATA]


Call = Callable[..., InvocationRecord]


@pytest.fixture(params=TRANSPORTS)
def call(request: pytest.FixtureRequest) -> Call:
    """Makes one call to a URL by the transport under test: `call(url, api=..., read_timeout_s=..., transcript=...)`."""

    def make(
        url: str, api: str = "converse_stream", read_timeout_s: float = 30.0, transcript: Transcript | None = None
    ) -> InvocationRecord:
        endpoint = Endpoint("us-east-1", url)
        transport = make_transport(request.param, endpoint, pool_size=2, read_timeout_s=read_timeout_s)
        record = InvocationRecord("run", "cell", "local", 0, "m")
        invocation = Invocation(api, "us.amazon.nova-pro-v1:0", "hello", 100, "flex")
        BedrockClient(transport).invoke(invocation, record, transcript)
        return record

    return make


@pytest.fixture
def called(call: Call) -> Call:
    """Makes one call to a server that gives this answer: `called(answer, ...)`."""

    def make(answer: bytes, **kwargs: object) -> InvocationRecord:
        with serving(answer) as url:
            return call(url, **kwargs)

    return make


def test_a_whole_stream_is_ok_with_all_its_times_in_order_and_its_usage(called: Call) -> None:
    record = called(stream(GOOD))

    stamps = [
        record.started_at,
        record.first_event_at,
        record.first_token_at,
        record.last_token_at,
        record.ended_at,
    ]
    assert record.outcome is Outcome.OK
    assert None not in stamps
    assert stamps == sorted(stamps)  # type: ignore[type-var]
    assert record.first_answer_at == record.first_token_at
    assert (record.input_tokens, record.output_tokens, record.events) == (7, 5, 5)
    assert (record.served_tier, record.stop_reason, record.request_id) == ("flex", "end_turn", "req-1")
    assert (record.server_latency_ms, record.http_status) == (42, 200)
    assert record.gap_max_ms is not None


def test_reasoning_is_a_first_token_but_not_a_first_answer(called: Call) -> None:
    thinking = called(stream([START, REASONING, STOP, METADATA]))
    answering = called(stream([START, REASONING, delta("yes"), STOP, METADATA]))

    assert thinking.first_token_at is not None
    assert thinking.first_answer_at is None
    assert answering.first_answer_at is not None


def test_an_empty_delta_is_no_token(called: Call) -> None:
    record = called(stream([START, delta(""), STOP, METADATA]))

    assert record.outcome is Outcome.OK
    assert record.first_token_at is None
    assert record.first_event_at is not None


@pytest.mark.parametrize("missing", ["messageStop", "metadata"])
def test_a_stream_without_one_of_its_closing_events_is_truncated(called: Call, missing: str) -> None:
    frames = [START, delta("a"), STOP] if missing == "metadata" else [START, delta("a"), METADATA]

    assert called(stream(frames)).outcome is Outcome.TRUNCATED


def test_a_connection_cut_inside_the_stream_is_truncated_and_keeps_what_it_saw(called: Call) -> None:
    record = called(stream([START, delta("a"), delta("b")], ended=False))

    assert record.outcome is Outcome.TRUNCATED
    assert record.first_token_at is not None
    assert record.output_tokens is None
    assert record.request_id == "req-1"


@pytest.mark.parametrize(
    ("kind", "outcome", "code"),
    [
        ("throttlingException", Outcome.THROTTLED, "ThrottlingException"),
        ("modelStreamErrorException", Outcome.STREAM_ERROR, "ModelStreamErrorException"),
        ("internalServerException", Outcome.STREAM_ERROR, "InternalServerException"),
    ],
)
def test_an_exception_frame_ends_the_stream_by_its_kind(called: Call, kind: str, outcome: Outcome, code: str) -> None:
    record = called(stream([START, delta("a"), exception(kind, "account 123456789012 is busy")]))

    assert record.outcome is outcome
    assert record.error_code == code
    assert record.error_message == "account <account> is busy"
    assert record.http_status == 200


@pytest.mark.parametrize("position", ["prelude", "payload"])
def test_a_corrupted_frame_is_a_stream_error(called: Call, position: str) -> None:
    broken = bytearray(delta("abcdef"))
    broken[9 if position == "prelude" else -6] ^= 0xFF

    assert called(stream([START, bytes(broken), STOP, METADATA])).outcome is Outcome.STREAM_ERROR


def test_an_event_type_nobody_knows_is_passed_over(called: Call) -> None:
    unknown = frame({":event-type": "novelty", ":message-type": "event"}, b"{}")

    assert called(stream([START, unknown, delta("a"), STOP, METADATA])).outcome is Outcome.OK


@pytest.mark.parametrize(
    "case",
    [
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", Outcome.THROTTLED),
        (429, "ThrottlingException", "Model is currently overloaded.", Outcome.OVERLOADED),
        (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", Outcome.OVERLOADED),
        (400, "ValidationException", "The provided model identifier is invalid.", Outcome.CLIENT_ERROR),
        (500, "InternalServerException", "oops", Outcome.SERVER_ERROR),
        (408, "ModelTimeoutException", "too slow", Outcome.TIMEOUT),
    ],
)
@pytest.mark.parametrize("api", ["converse", "converse_stream"])
def test_http_errors_are_one_attempt_with_code_message_and_request_id(
    called: Call, api: str, case: tuple[int, str, str, Outcome]
) -> None:
    status, code, message, outcome = case
    record = called(error(status, code, message), api=api)

    assert record.outcome is outcome
    assert (record.error_code, record.error_message) == (code, message)
    assert (record.http_status, record.request_id) == (status, "req-1")
    assert record.first_token_at is None
    assert record.ended_at is not None


def test_silence_is_a_timeout(call: Call) -> None:
    with serving(stream([START, delta("a")], ended=False), hold=True) as url:
        record = call(url, read_timeout_s=0.2)

    assert record.outcome is Outcome.TIMEOUT
    assert record.first_token_at is not None


def test_nobody_listening_is_a_connection_error(call: Call) -> None:
    with serving(b"") as url:
        pass

    assert call(url).outcome is Outcome.CONNECTION_ERROR


def test_a_connection_closed_without_an_answer_is_a_connection_error(called: Call) -> None:
    assert called(b"").outcome is Outcome.CONNECTION_ERROR


def test_an_answer_in_one_piece_has_no_first_token(called: Call) -> None:
    body = (
        b'{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"max_tokens",'
        b'"usage":{"inputTokens":3,"outputTokens":1,"totalTokens":4},"metrics":{"latencyMs":9}}'
    )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    record = called(head + body, api="converse")

    assert record.outcome is Outcome.OK
    assert (record.input_tokens, record.output_tokens, record.stop_reason) == (3, 1, "max_tokens")
    assert record.first_token_at is None
    assert record.events is None
    assert record.served_tier is None


def in_one_piece(*blocks: object) -> bytes:
    message = {"role": "assistant", "content": blocks}
    answer = {"output": {"message": message}, "stopReason": "end_turn", "usage": {}, "metrics": {}}
    body = json.dumps(answer).encode()
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("api", "answer"),
    [
        ("converse_stream", stream([START, REASONING, REASONING, delta("こん"), delta("にちは"), STOP, METADATA])),
        (
            "converse",
            in_one_piece(
                {"reasoningContent": {"reasoningText": {"text": "hmmhmm"}}}, {"text": "こん"}, {"text": "にちは"}
            ),
        ),
    ],
)
def test_who_asks_for_the_text_of_an_answer_gets_it_and_the_record_does_not(
    called: Call, api: str, answer: bytes
) -> None:
    transcript = Transcript()
    record = called(answer, api=api, transcript=transcript)

    assert record.outcome is Outcome.OK
    assert (transcript.reasoning, transcript.text) == ("hmmhmm", "こんにちは")
    assert "こん" not in record.to_json()
    assert "hmm" not in record.to_json()


def test_of_an_answer_that_broke_off_the_text_is_there_as_far_as_it_came(called: Call) -> None:
    transcript = Transcript()
    record = called(stream([START, delta("こん")], ended=False), transcript=transcript)

    assert record.outcome is Outcome.TRUNCATED
    assert transcript.text == "こん"


class Killed(BaseException):
    """What gevent raises into a greenlet that is killed is no Exception either."""


class KilledTransport:
    name = "killed"

    def invoke(self, invocation: Invocation, record: InvocationRecord, transcript: Transcript | None = None) -> None:
        record.started_at = record.first_token_at = 1.0
        raise Killed

    def close(self) -> None:
        pass


def test_a_killed_call_is_aborted_and_never_a_success() -> None:
    record = InvocationRecord("run", "cell", "local", 0, "m")
    with pytest.raises(Killed):
        BedrockClient(KilledTransport()).invoke(Invocation("converse_stream", "m", "p", 1), record)

    assert record.outcome is Outcome.ABORTED
    assert record.first_token_at == 1.0
    assert record.ended_at is not None


def test_an_unknown_transport_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="boto3"):
        make_transport("telegraph", Endpoint("us-east-1"), pool_size=1, read_timeout_s=1.0)


def test_a_bearer_token_of_the_environment_does_not_reach_a_loopback_endpoint(
    called: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "secret-token")
    with caplog.at_level(logging.DEBUG, logger="botocore.endpoint"):
        record = called(stream(GOOD))

    assert record.outcome is Outcome.OK
    assert "secret-token" not in caplog.text
