"""What only the wire transport does itself: connections, TLS, splits and corruption of bytes, credentials, proxies."""

import gevent
from gevent import GreenletExit

import datetime
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock.client import BedrockClient
from bedrock.endpoint import Endpoint, EndpointError
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome
from bedrock.wire.dialing import Address
from bedrock.wire.factory import make_wire_transport
from bedrock.wire.pool import ConnectionPool
from bedrock.wire.signing import SigV4Authorizer
from bedrock.wire.transport import WireTransport
from emulator.process import EmulatorProcess
from tests.support.scripted_server import START, delta, stream
from tests.support.sdk import FAST, NOVA
from tests.support.wire import ANSWER, INVOCATION, Server, called, transport_to

# --- connections ---------------------------------------------------------------------------------------------


def test_a_connection_is_kept_and_its_cost_is_on_the_first_call_only() -> None:
    with Server(ANSWER) as server:
        transport = transport_to(server.url)
        first, second = called(transport), called(transport)

    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.OK)
    assert (server.connections, server.requests) == (1, 2)
    assert first.connect_ms is not None
    assert first.connect_ms > 0
    assert second.connect_ms == 0
    assert first.tls_ms is None
    assert first.bytes_received == second.bytes_received == len(ANSWER)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's time stamps are Linux's")
def test_what_lies_in_the_socket_while_the_loop_is_busy_is_known_from_the_kernel() -> None:
    """An answer arrives while nobody reads: our stamp is late, and the kernel's tells by how much."""
    with EmulatorProcess(FAST, seed=1) as emulator:
        transport = transport_to(emulator.url)
        at_ease = called(transport)
        call = gevent.spawn(called, transport)
        gevent.sleep(0)  # it sends its request and waits
        busy_until = time.monotonic() + 0.2
        while time.monotonic() < busy_until:
            pass
        held_up = call.get()

    assert at_ease.receive_lag_ms is not None
    assert held_up.receive_lag_ms is not None
    assert held_up.receive_lag_ms > 100.0 > at_ease.receive_lag_ms


def test_a_connection_that_the_server_closed_while_it_was_idle_is_replaced_and_no_call_fails() -> None:
    with Server(ANSWER) as server:
        transport = transport_to(server.url)
        outcomes = []
        for _ in range(3):
            outcomes.append(called(transport).outcome)
            server.hang_up()

    assert outcomes == [Outcome.OK] * 3
    assert server.connections == 3


def test_an_answer_that_says_connection_close_is_believed() -> None:
    answer = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    with Server(answer, keeps_open=False) as server:
        transport = transport_to(server.url)
        outcomes = [called(transport).outcome for _ in range(2)]

    assert outcomes == [Outcome.OK] * 2
    assert server.connections == 2


def test_no_more_connections_are_open_than_the_pool_has_and_the_wait_is_recorded() -> None:
    with Server(ANSWER) as server:
        transport = transport_to(server.url, pool_size=2)
        greenlets = [gevent.spawn(called, transport) for _ in range(8)]
        gevent.joinall(greenlets, raise_error=True)
    records = [greenlet.value for greenlet in greenlets]

    assert server.connections == 2
    assert {record.outcome for record in records} == {Outcome.OK}
    assert max(record.pool_wait_ms for record in records) > 0


def test_a_killed_call_is_aborted_and_its_connection_is_not_used_again() -> None:
    with Server(stream([START, delta("こ")], ended=False)) as server:
        transport = transport_to(server.url)
        record = InvocationRecord("run", "cell", "local", 0, "m")
        greenlet = gevent.spawn(BedrockClient(transport).invoke, INVOCATION, record)
        while record.first_event_at is None:
            gevent.sleep(0.001)
        greenlet.kill(GreenletExit)
        server.pieces = [ANSWER]
        after = called(transport)

    assert record.outcome is Outcome.ABORTED
    assert after.outcome is Outcome.OK
    assert server.connections == 2


def test_a_request_larger_than_the_socket_takes_at_once_arrives_whole() -> None:
    with Server(ANSWER) as server:
        record = called(transport_to(server.url), Invocation("converse_stream", NOVA, "長い質問。" * 400_000, 100))

    assert record.outcome is Outcome.OK


# --- bytes ---------------------------------------------------------------------------------------------------


def seen(record: InvocationRecord) -> tuple[Any, ...]:
    return record.outcome, record.events, record.output_tokens, record.stop_reason, record.request_id


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=15))
def test_any_split_of_an_answer_into_reads_gives_the_same_record(cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(ANSWER)]
    pieces = [ANSWER[start:end] for start, end in itertools.pairwise(places)]
    with Server(*pieces) as server:
        record = called(transport_to(server.url))

    assert seen(record) == (Outcome.OK, 5, 5, "end_turn", "req-1")
    assert record.first_token_at is not None


BODY_AT = ANSWER.index(b"\r\n\r\n") + 4


@settings(max_examples=150, deadline=None)
@given(st.integers(BODY_AT, len(ANSWER) - 1), st.integers(1, 255))
def test_any_corruption_of_a_stream_is_an_error_and_never_a_success_or_a_hang(at: int, change: int) -> None:
    broken = bytearray(ANSWER)
    broken[at] ^= change
    with Server(bytes(broken), keeps_open=False) as server:
        record = called(transport_to(server.url))

    if (
        record.outcome is Outcome.OK
    ):  # the change is in the framing of HTTP's chunks, and does not change a byte of them
        assert seen(record) == (Outcome.OK, 5, 5, "end_turn", "req-1")
    else:
        assert record.outcome in (Outcome.STREAM_ERROR, Outcome.TRUNCATED, Outcome.SERVER_ERROR)


# --- TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_emulator() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(FAST, seed=1, tls=True) as emulator:
        yield emulator


@pytest.mark.parametrize("api", ["converse", "converse_stream", "invoke_model", "invoke_model_stream"])
def test_calls_go_over_verified_tls(tls_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls_emulator.ca_bundle))
    transport = transport_to(tls_emulator.url)
    records = [called(transport, Invocation(api, NOVA, "Hi", 100)) for _ in range(3)]

    assert [record.outcome for record in records] == [Outcome.OK] * 3
    assert [record.connect_ms == 0 for record in records] == [False, True, True]
    first, *others = records
    assert first.connect_ms is not None
    assert first.tls_ms is not None
    assert 0 < first.tls_ms < first.connect_ms
    assert [record.tls_ms for record in others] == [None, None]
    assert all(record.output_tokens == 50 for record in records)


def test_many_streams_at_once_over_tls_all_arrive(
    tls_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls_emulator.ca_bundle))
    transport = transport_to(tls_emulator.url, pool_size=40)
    greenlets = [gevent.spawn(called, transport) for _ in range(40)]
    gevent.joinall(greenlets, raise_error=True)

    assert {greenlet.value.outcome for greenlet in greenlets} == {Outcome.OK}
    assert {greenlet.value.output_tokens for greenlet in greenlets} == {50}


def test_a_certificate_of_an_unknown_authority_is_not_trusted(tls_emulator: EmulatorProcess) -> None:
    record = called(transport_to(tls_emulator.url))

    assert record.outcome is Outcome.CONNECTION_ERROR
    assert record.error_code == "ConnectionFailed"
    assert "certificate" in str(record.error_message)


def test_a_bundle_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))

    with pytest.raises(EndpointError, match=r"none\.pem"):
        transport_to("https://127.0.0.1:1")


# --- who calls, and how to get there -------------------------------------------------------------------------


def test_a_verifying_endpoint_accepts_the_signature_of_every_operation() -> None:
    with EmulatorProcess({**FAST, "auth": "verify"}, seed=1) as emulator:
        transport = transport_to(emulator.url)
        ids = [
            NOVA,
            f"us.{NOVA}",
            f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{NOVA}",
            f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}",
        ]
        records = [
            called(transport, Invocation(api, model_id, "注文した『漫画』は？ ", 100, "flex"))
            for api in ("converse", "converse_stream", "invoke_model", "invoke_model_stream")
            for model_id in ids
        ]

    assert {record.outcome for record in records} == {Outcome.OK}


def test_credentials_that_expire_in_the_middle_are_refreshed_without_a_failed_call() -> None:
    issued = 0

    def refresh() -> dict[str, Any]:
        nonlocal issued
        issued += 1
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5)
        return {
            "access_key": "emulator", "secret_key": "emulator", "token": None, "expiry_time": soon.isoformat()
        }  # fmt: skip

    credentials = RefreshableCredentials.create_from_metadata(refresh(), refresh, "sts-assume-role")
    with EmulatorProcess({**FAST, "auth": "verify"}, seed=1) as emulator:
        host, port = emulator.url.removeprefix("http://").split(":")
        pool = ConnectionPool(Address(host, int(port)), 2, connect_timeout_s=5.0)
        authorizer = SigV4Authorizer(credentials.get_frozen_credentials, "us-east-1")
        transport = WireTransport(pool, authorizer, f"{host}:{port}", read_timeout_s=20.0)
        outcomes = [called(transport).outcome for _ in range(4)]

    assert outcomes == [Outcome.OK] * 4
    assert issued >= 4, "always within the time in which botocore insists on new ones"


def test_a_proxy_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("NO_PROXY", "")

    with pytest.raises(EndpointError, match="--transport boto3"):
        transport_to("https://bedrock.example:443")


def test_the_address_of_a_region_is_the_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    transport = make_wire_transport(Endpoint("us-east-1"), pool_size=1, read_timeout_s=1.0)
    client = botocore.session.get_session().create_client("bedrock-runtime", region_name="us-east-1")

    assert f"https://{transport.host}" == client.meta.endpoint_url
    assert "fips" in transport.host


def test_a_variable_that_points_sdks_at_an_emulator_does_not_move_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:8700")
    transport = make_wire_transport(Endpoint("us-east-1"), pool_size=1, read_timeout_s=1.0)

    assert transport.host == "bedrock-runtime.us-east-1.amazonaws.com"


def test_a_bearer_token_goes_over_https_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "secret-token")

    with pytest.raises(EndpointError, match="HTTPS"):
        transport_to("http://bedrock.example:80")
