"""The same behaviour of the server gives the same record on both transports, and the outcome that the server meant."""

import dataclasses
import itertools
import os
import resource
from collections.abc import Iterator
from typing import Any

import pytest

from bedrock.client import TRANSPORTS, BedrockClient, make_transport
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome
from bedrock.transcript import Transcript
from emulator.modelled_errors import IN_STREAM, MODELLED
from emulator.process import EmulatorProcess
from tests.support.faults import add_faults, admin, wait_for
from tests.support.sdk import FAST

MODELS = {
    "anthropic": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "nova": "us.amazon.nova-pro-v1:0",
    "llama": "meta.llama3-3-70b-instruct-v1:0",
    "mistral": "mistral.mistral-large-2407-v1:0",
    "titan": "amazon.titan-text-express-v1",
}
APIS = ("converse", "converse_stream", "invoke_model", "invoke_model_stream")
STREAMS = tuple(api for api in APIS if api.endswith("stream"))
#: What differs between two calls by nature, and what only one of the transports can know.
DIFFERING = {
    "transport", "request_id", "started_at", "first_event_at", "first_token_at", "first_answer_at", "last_token_at",
    "ended_at", "gap_p50_ms", "gap_p95_ms", "gap_max_ms", "server_latency_ms", "connect_ms", "pool_wait_ms",
    "bytes_received", "first_byte_at", "tls_ms", "burst_share", "receive_lag_ms",
}  # fmt: skip
TIMES = ("first_event_at", "first_token_at", "first_answer_at", "last_token_at")


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(FAST, seed=1) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    """The same one for all tests, its rules removed."""
    admin(running, "DELETE", "/_emulator/faults")
    return running


def called(
    emulator: EmulatorProcess, transport_name: str, invocation: Invocation, read_timeout_s: float = 20.0
) -> tuple[InvocationRecord, Transcript]:
    endpoint = Endpoint("us-east-1", emulator.url)
    transport = make_transport(transport_name, endpoint, pool_size=2, read_timeout_s=read_timeout_s)
    record, transcript = InvocationRecord("run", "cell", "local", 0, "m"), Transcript()
    BedrockClient(transport).invoke(invocation, record, transcript)
    return record, transcript


def comparable(record: InvocationRecord) -> dict[str, Any]:
    """The record without what differs by nature; of times, whether they are there."""
    fields = dataclasses.asdict(record)
    kept = {name: value for name, value in fields.items() if name not in DIFFERING}
    # An SDK's message may carry more than the service's own words: the code and the kind of failure are compared.
    if record.error_code in ("ConnectionClosed", "ConnectionFailed", "InvalidEventStream", "TruncatedStream"):
        kept.pop("error_message")
    return kept | {f"has_{name}": fields[name] is not None for name in TIMES}


def both(emulator: EmulatorProcess, invocation: Invocation, **kwargs: Any) -> InvocationRecord:
    """Make the call on each transport; the records agree, and agree with the truth log. Returns one of them."""
    already = len(emulator.truth())
    results = [called(emulator, name, invocation, **kwargs) for name in TRANSPORTS]
    first, second = (record for record, _ in results)
    wait_for(lambda: len(emulator.truth()) == already + len(results))

    assert comparable(first) == comparable(second)
    assert len({(transcript.reasoning, transcript.text) for _, transcript in results}) == 1
    expected = {entry["outcome"] for entry in emulator.truth()[already:]}
    assert expected == {first.outcome} or (expected == {"client_gone"} and first.outcome is Outcome.TIMEOUT)
    return first


def asked(api: str, family: str = "nova", **settings: Any) -> Invocation:
    return Invocation(api, MODELS[family], "Where is my order?", 200, **settings)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("api", APIS)
def test_every_operation_of_every_family_gives_the_same_record(
    emulator: EmulatorProcess, api: str, family: str
) -> None:
    record = both(emulator, asked(api, family, system="You sell manga."))

    assert record.outcome is Outcome.OK
    assert (record.output_tokens, record.http_status) == (50, 200)
    assert record.input_tokens is not None
    assert record.stop_reason is not None
    assert (record.first_token_at is not None) is api.endswith("stream")


@pytest.mark.parametrize("api", APIS)
def test_tier_latency_stop_sequences_and_metadata_are_sent_alike(emulator: EmulatorProcess, api: str) -> None:
    settings = {"service_tier": "flex", "latency": "optimized", "request_metadata": {"team": "manga-assist"}}
    record = both(emulator, asked(api, stop_sequences=("a", "e"), **settings))

    assert record.outcome is Outcome.OK
    assert record.served_tier == "flex"
    assert record.stop_reason == "stop_sequence"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("family", ["anthropic", "nova"])
def test_a_cached_system_prompt_is_read_by_the_second_call(emulator: EmulatorProcess, api: str, family: str) -> None:
    system = f"{api} {family} " + "You know every volume of every series. " * 600
    invocation = asked(api, family, system=system, cache_system=True)
    called(emulator, "wire", invocation)
    record = both(emulator, invocation)

    assert record.outcome is Outcome.OK
    assert record.cache_read_tokens is not None
    assert record.cache_read_tokens > 4000


@pytest.mark.parametrize("code", MODELLED)
@pytest.mark.parametrize("api", APIS)
def test_every_modelled_error_gives_the_same_record(emulator: EmulatorProcess, api: str, code: str) -> None:
    add_faults(emulator, {"kind": "error", "code": code})
    record = both(emulator, asked(api))

    assert record.outcome is not Outcome.OK
    assert record.error_code == code
    assert record.error_message


@pytest.mark.parametrize(
    ("api", "exception"),
    [
        (api, exception)
        for api, exception in itertools.product(STREAMS, IN_STREAM)
        if (api, exception) != ("converse_stream", "modelTimeoutException")  # which it does not know
    ],
)
def test_every_exception_inside_a_stream_gives_the_same_record(
    emulator: EmulatorProcess, api: str, exception: str
) -> None:
    add_faults(emulator, {"kind": "stream_exception", "exception": exception})
    record = both(emulator, asked(api))

    assert record.outcome in (Outcome.STREAM_ERROR, Outcome.THROTTLED)
    assert record.first_token_at is not None


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"kind": "cut", "at": "before_headers"}, Outcome.CONNECTION_ERROR),
        ({"kind": "cut", "at": "mid_frame"}, Outcome.TRUNCATED),
        ({"kind": "cut", "at": "frame_border"}, Outcome.TRUNCATED),
        ({"kind": "bad_crc", "part": "message"}, Outcome.STREAM_ERROR),
        ({"kind": "bad_crc", "part": "prelude"}, Outcome.STREAM_ERROR),
        ({"kind": "garbage"}, Outcome.STREAM_ERROR),
        ({"kind": "duplicate_metadata"}, Outcome.OK),
        ({"kind": "missing_metadata"}, Outcome.TRUNCATED),
        ({"kind": "trickle", "bytes_per_s": 100_000}, Outcome.OK),
        ({"kind": "stall", "stall_s": 0.2}, Outcome.OK),
        ({"kind": "outage"}, Outcome.OVERLOADED),
        ({"kind": "outage", "mode": "refuse_connection"}, Outcome.CONNECTION_ERROR),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("api", STREAMS)
def test_every_fault_of_a_stream_gives_the_same_record(
    emulator: EmulatorProcess, api: str, rule: dict[str, Any], outcome: Outcome
) -> None:
    add_faults(emulator, rule)

    assert both(emulator, asked(api)).outcome is outcome


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"kind": "cut", "at": "before_headers"}, Outcome.CONNECTION_ERROR),
        ({"kind": "cut", "at": "mid_frame"}, Outcome.CONNECTION_ERROR),
        ({"kind": "garbage"}, Outcome.SERVER_ERROR),
        ({"kind": "trickle", "bytes_per_s": 100_000}, Outcome.OK),
        ({"kind": "outage"}, Outcome.OVERLOADED),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("api", [api for api in APIS if api not in STREAMS])
def test_every_fault_of_a_whole_answer_gives_the_same_record(
    emulator: EmulatorProcess, api: str, rule: dict[str, Any], outcome: Outcome
) -> None:
    add_faults(emulator, rule)

    assert both(emulator, asked(api)).outcome is outcome


@pytest.mark.parametrize("rule", [{"kind": "stall"}, {"kind": "delay", "delay_s": 30}], ids=["stall", "delay"])
@pytest.mark.parametrize("api", STREAMS)
def test_silence_is_a_timeout_on_both(emulator: EmulatorProcess, api: str, rule: dict[str, Any]) -> None:
    add_faults(emulator, rule)
    record = both(emulator, asked(api), read_timeout_s=0.4)

    assert record.outcome is Outcome.TIMEOUT
    assert record.error_code == "ReadTimeout"


@pytest.mark.parametrize("transport_name", TRANSPORTS)
def test_a_machine_that_has_no_descriptor_left_for_a_connection_says_so(
    emulator: EmulatorProcess, transport_name: str
) -> None:
    invocation = Invocation("converse", MODELS["nova"], "Hello", 20)
    called(emulator, transport_name, invocation)  # whatever is opened once is open now
    transport = make_transport(transport_name, Endpoint("us-east-1", emulator.url), pool_size=2, read_timeout_s=20.0)
    record = InvocationRecord("run", "cell", "local", 0, "m")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        BedrockClient(transport).invoke(invocation, record)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (record.outcome, record.error_code) == (Outcome.CONNECTION_ERROR, "GeneratorOutOfResources")
