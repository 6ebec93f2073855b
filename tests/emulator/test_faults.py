"""Faults in the middle of answers: what an unmodified SDK raises, and what the truth log says."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import botocore.exceptions
import pytest
import urllib3.exceptions
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch

from bedrock.outcome import canonical_code
from emulator.modelled_errors import IN_STREAM
from emulator.process import EmulatorProcess
from tests.support.faults import add_faults, admin, hits, last_entry
from tests.support.sdk import NOVA, ask

BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()
NATIVE_BODY = json.dumps({"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]})
STREAMS = ["ConverseStream", "InvokeModelWithResponseStream"]
IN_BOTH_STREAMS = sorted(IN_STREAM.keys() - {"modelTimeoutException"})
TRUNCATING = [("cut", {"at": "frame_border"}), ("missing_metadata", {})]

StartEmulator = Callable[..., EmulatorProcess]


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    """The same one for all tests, its rules removed."""
    admin(running, "DELETE", "/_emulator/faults")
    return running


def impatient(emulator: EmulatorProcess, read_timeout_s: float = 0.3) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout_s)
    return boto3.client("bedrock-runtime", endpoint_url=emulator.url, region_name="us-east-1", config=config)


def stream(bedrock: Any, operation: str) -> Any:
    if operation == "ConverseStream":
        return bedrock.converse_stream(**ask())["stream"]
    return bedrock.invoke_model_with_response_stream(modelId=NOVA, body=NATIVE_BODY)["body"]


def read_until_it_fails(bedrock: Any, operation: str) -> tuple[list[dict[str, Any]], Exception | None]:
    """The events that came, and what ended them."""
    events: list[dict[str, Any]] = []
    opened = stream(bedrock, operation)
    upcoming = iter(opened)
    try:
        while (event := next(upcoming, None)) is not None:
            events.append(event)
    except (botocore.exceptions.ClientError, urllib3.exceptions.HTTPError, ChecksumMismatch) as error:
        return events, error
    finally:
        opened.close()
    return events, None


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [next(iter(event)) for event in events]


# --- mid-stream, as the SDK sees it --------------------------------------------------------------------------


@pytest.mark.parametrize("operation", STREAMS)
@pytest.mark.parametrize("exception", IN_BOTH_STREAMS)
def test_an_exception_frame_is_raised_in_camel_case_after_the_events_before_it(
    emulator: EmulatorProcess, bedrock: Any, operation: str, exception: str
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "stream_exception", "exception": exception})
    events, error = read_until_it_fails(bedrock, operation)
    entry = last_entry(emulator, before)

    assert isinstance(error, botocore.exceptions.EventStreamError)
    assert error.response["Error"]["Code"] == exception
    assert error.response["Error"]["Message"]
    assert "ResponseMetadata" not in error.response
    assert len(events) == entry["events"] == 3
    assert entry["outcome"] == ("throttled" if exception == "throttlingException" else "stream_error")
    assert (entry["status"], entry["error_code"]) == (200, canonical_code(exception))
    assert entry["fault"] == f"stream_exception:{exception}"
    assert 0 < entry["output_tokens"] < 50


def test_the_timeout_of_a_model_is_raised_where_the_stream_knows_it(emulator: EmulatorProcess, bedrock: Any) -> None:
    add_faults(emulator, {"kind": "stream_exception", "exception": "modelTimeoutException"})
    _, error = read_until_it_fails(bedrock, "InvokeModelWithResponseStream")
    whole, nothing = read_until_it_fails(bedrock, "ConverseStream")

    assert isinstance(error, botocore.exceptions.EventStreamError)
    assert error.response["Error"]["Code"] == "modelTimeoutException"
    assert nothing is None
    assert kinds(whole)[-1] == "metadata"
    assert hits(emulator) == [1]


@pytest.mark.parametrize("operation", STREAMS)
def test_an_unmodelled_error_is_raised_with_its_code(emulator: EmulatorProcess, bedrock: Any, operation: str) -> None:
    rule = {"kind": "stream_exception", "exception": "error", "code": "InternalFailure", "message": "No {model} today."}
    add_faults(emulator, rule)
    _, error = read_until_it_fails(bedrock, operation)

    assert isinstance(error, botocore.exceptions.EventStreamError)
    assert error.response["Error"] == {"Code": "InternalFailure", "Message": f"No {NOVA} today."}
    assert emulator.truth()[-1]["error_code"] == "InternalFailure"


@pytest.mark.parametrize("operation", STREAMS)
def test_a_cut_inside_a_frame_is_a_protocol_error(emulator: EmulatorProcess, bedrock: Any, operation: str) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "cut", "at": "mid_frame"})
    events, error = read_until_it_fails(bedrock, operation)
    entry = last_entry(emulator, before)

    assert isinstance(error, urllib3.exceptions.ProtocolError)
    assert len(events) == entry["events"] == 3
    assert (entry["status"], entry["outcome"], entry["fault"]) == (200, "truncated", "cut:mid_frame")


@pytest.mark.parametrize("operation", STREAMS)
@pytest.mark.parametrize(("kind", "parameters"), TRUNCATING)
def test_a_stream_that_merely_ends_too_early_raises_nothing(
    emulator: EmulatorProcess, bedrock: Any, operation: str, kind: str, parameters: dict[str, Any]
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": kind, **parameters})
    events, error = read_until_it_fails(bedrock, operation)
    entry = last_entry(emulator, before)

    assert error is None
    assert "metadata" not in kinds(events)
    assert b"invocationMetrics" not in b"".join(event.get("chunk", {}).get("bytes", b"") for event in events)
    assert len(events) == entry["events"]
    assert (entry["status"], entry["outcome"]) == (200, "truncated")


@pytest.mark.parametrize("operation", STREAMS)
@pytest.mark.parametrize("rule", [{"kind": "bad_crc"}, {"kind": "bad_crc", "part": "prelude"}, {"kind": "garbage"}])
def test_what_is_no_frame_is_a_checksum_mismatch(
    emulator: EmulatorProcess, bedrock: Any, operation: str, rule: dict[str, Any]
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, rule)
    events, error = read_until_it_fails(bedrock, operation)
    entry = last_entry(emulator, before)

    assert isinstance(error, ChecksumMismatch)
    assert len(events) == entry["events"] == 3
    assert (entry["status"], entry["outcome"]) == (200, "stream_error")


@pytest.mark.parametrize("operation", STREAMS)
def test_the_usage_may_come_twice(emulator: EmulatorProcess, bedrock: Any, operation: str) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "duplicate_metadata"})
    events, error = read_until_it_fails(bedrock, operation)
    entry = last_entry(emulator, before)

    assert error is None
    assert events[-1] == events[-2] != events[-3]
    assert (entry["outcome"], entry["events"], entry["output_tokens"]) == ("ok", len(events), 50)


@pytest.mark.parametrize("operation", STREAMS)
def test_silence_is_a_read_timeout_and_the_client_leaves(emulator: EmulatorProcess, operation: str) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "stall"})
    events, error = read_until_it_fails(impatient(emulator, read_timeout_s=1.0), operation)
    entry = last_entry(emulator, before)

    assert isinstance(error, urllib3.exceptions.ReadTimeoutError)
    assert len(events) == entry["events"] == 3
    assert (entry["status"], entry["outcome"], entry["fault"]) == (200, "client_gone", "stall")


@pytest.mark.parametrize("operation", STREAMS)
def test_after_a_silence_all_that_was_due_comes(emulator: EmulatorProcess, bedrock: Any, operation: str) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "stall", "stall_s": 0.3, "count": 1})
    events, error = read_until_it_fails(bedrock, operation)
    undisturbed, _ = read_until_it_fails(bedrock, operation)
    entry = emulator.truth(before)[0]

    assert error is None
    assert len(events) == len(undisturbed) == entry["events"]
    assert (entry["outcome"], entry["output_tokens"]) == ("ok", 50)
    assert entry["last_token_at"] - entry["first_token_at"] >= 0.3


@pytest.mark.parametrize("operation", [*STREAMS, "Converse"])
def test_a_delay_is_a_read_timeout_before_the_answer(emulator: EmulatorProcess, operation: str) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "delay", "delay_s": 600})
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        impatient(emulator).converse(**ask()) if operation == "Converse" else stream(impatient(emulator), operation)
    entry = last_entry(emulator, before)

    assert (entry["status"], entry["outcome"], entry["fault"]) == (None, "client_gone", "delay")
    assert entry["first_event_at"] is None


def test_a_short_delay_moves_the_whole_answer(emulator: EmulatorProcess, bedrock: Any) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "delay", "delay_s": 0.25})
    events, _ = read_until_it_fails(bedrock, "ConverseStream")
    entry = last_entry(emulator, before)

    assert (entry["outcome"], entry["events"]) == ("ok", len(events))
    assert entry["first_event_at"] - entry["received_at"] >= 0.25


@pytest.mark.parametrize("operation", [*STREAMS, "Converse"])
@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ({"kind": "cut", "at": "before_headers"}, "cut:before_headers"),
        ({"kind": "outage", "mode": "refuse_connection"}, "outage:refuse_connection"),
    ],
)
def test_a_connection_closed_without_an_answer_is_a_connection_error(
    emulator: EmulatorProcess, bedrock: Any, operation: str, rule: dict[str, Any], label: str
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, rule)
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        bedrock.converse(**ask()) if operation == "Converse" else stream(bedrock, operation)
    entry = last_entry(emulator, before)

    assert (entry["status"], entry["outcome"], entry["fault"]) == (None, "connection_error", label)
    assert (entry["input_tokens"] is None) == (rule["kind"] == "outage"), "what is refused is not read"


@pytest.mark.parametrize("after_events", [0, 1, 2, 7])
@pytest.mark.parametrize("rule", [
    {"kind": "stream_exception", "exception": "internalServerException"}, {"kind": "cut", "at": "frame_border"},
    {"kind": "cut", "at": "mid_frame"}, {"kind": "bad_crc"}, {"kind": "garbage"},
])  # fmt: skip
def test_a_fault_strikes_after_as_many_events_as_it_says(
    emulator: EmulatorProcess, bedrock: Any, rule: dict[str, Any], after_events: int
) -> None:
    before = len(emulator.truth())
    add_faults(emulator, {**rule, "after_events": after_events})
    events, _ = read_until_it_fails(bedrock, "ConverseStream")
    entry = last_entry(emulator, before)

    assert len(events) == entry["events"] == after_events
    assert entry["status"] == 200
    assert (entry["first_event_at"] is None) == (after_events == 0)
    assert (entry["first_token_at"] is None) == (after_events <= 1)
    assert entry["output_tokens"] == (1 + 4 * (after_events - 2) if after_events > 1 else 0)


def test_a_piece_of_text_and_the_end_of_its_block_stay_together(emulator: EmulatorProcess, bedrock: Any) -> None:
    """Nova's own stream has two events for every piece: whoever has the text has its tokens in the truth log."""
    before = len(emulator.truth())
    add_faults(emulator, {"kind": "cut", "at": "frame_border", "after_events": 2})
    events, _ = read_until_it_fails(bedrock, "InvokeModelWithResponseStream")
    entry = last_entry(emulator, before)
    names = [next(iter(json.loads(event["chunk"]["bytes"]))) for event in events]

    assert names == ["messageStart", "contentBlockDelta", "contentBlockStop"]
    assert (entry["events"], entry["output_tokens"]) == (3, 1)
    assert entry["first_token_at"] is not None


@pytest.mark.parametrize("operation", STREAMS)
@pytest.mark.parametrize("kind", ["stream_exception", "bad_crc", "cut", "garbage"])
def test_in_a_stream_with_fewer_events_it_strikes_in_place_of_the_last(
    emulator: EmulatorProcess, bedrock: Any, kind: str, operation: str
) -> None:
    usual, _ = read_until_it_fails(bedrock, operation)
    before = len(emulator.truth())
    parameters = {"stream_exception": {"exception": "validationException"}, "cut": {"at": "mid_frame"}}
    add_faults(emulator, {"kind": kind, "after_events": 100_000, **parameters.get(kind, {})})
    events, error = read_until_it_fails(bedrock, operation)

    assert error is not None
    assert len(events) == last_entry(emulator, before)["events"] == len(usual) - 1
