"""HTTPS: real SDKs and raw sockets against an emulator that encrypts, and clients that get it wrong."""

import http.client
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError

from bedrock.eventstream import FrameDecoder
from emulator.process import EmulatorError, EmulatorProcess
from tests.support.raw_http import read_chunks, read_head
from tests.support.sdk import FAST, NOVA, ask

BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()
#: Its first token comes at once, its second not within this test.
STALLS = {"default": {"latency": {"ttft_ms": 1, "prefill_ms_per_token": 0, "tokens_per_second": 0.001}}}
NEVER_ANSWERS = {"default": {"latency": {"ttft_ms": 600_000}}}
LONG_ANSWER = {
    "default": {
        "latency": {"ttft_ms": 1, "prefill_ms_per_token": 0, "tokens_per_second": 50_000, "tokens_per_event": 1},
        "output_tokens": 20_000,
    }
}

StartTls = Callable[..., EmulatorProcess]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls") / "emulator.log"


@pytest.fixture(scope="module")
def emulator(log: Path) -> Iterator[EmulatorProcess]:
    with EmulatorProcess(FAST, seed=1, log=log, tls=True) as running:
        yield running


@pytest.fixture
def start_tls() -> Iterator[StartTls]:
    """Starts one emulator of its own for a test."""
    started: list[EmulatorProcess] = []

    def start(config: dict[str, Any]) -> EmulatorProcess:
        started.append(EmulatorProcess(config, seed=1, tls=True).start())
        return started[-1]

    yield start
    for running in started:
        running.stop()


def sdk(emulator: EmulatorProcess, **options: Any) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    chosen = {"endpoint_url": emulator.url, "verify": str(emulator.ca_bundle), **options}
    return boto3.client("bedrock-runtime", region_name="us-east-1", config=config, **chosen)


def address(emulator: EmulatorProcess) -> tuple[str, int]:
    host, port = emulator.url.partition("://")[2].split(":")
    return host, int(port)


def trusting(emulator: EmulatorProcess) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=emulator.ca_bundle)


@contextmanager
def encrypted(
    emulator: EmulatorProcess, context: ssl.SSLContext | None = None, receive_buffer: int | None = None
) -> Iterator[ssl.SSLSocket]:
    with socket.socket() as raw:
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(30.0)
        raw.connect(address(emulator))
        host = address(emulator)[0]
        context = context or trusting(emulator)
        with context.wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False) as connection:
            yield connection


def post(operation: str, *headers: str, version: str = "1.1", model_id: str = NOVA) -> bytes:
    lines = [f"POST /model/{model_id}/{operation} HTTP/{version}", "Host: x", f"Content-Length: {len(BODY)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + BODY


def read_answer(reader: BinaryIO) -> dict[str, Any]:
    status, fields = read_head(reader)
    assert status == 200
    document: dict[str, Any] = json.loads(reader.read(int(fields["content-length"])))
    return document


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen")


# --- SDKs ----------------------------------------------------------------------------------------------------


def test_an_sdk_streams_over_https(emulator: EmulatorProcess) -> None:
    events = [next(iter(event)) for event in sdk(emulator).converse_stream(**ask())["stream"]]

    assert emulator.url.startswith("https://127.0.0.1:")
    assert events[0] == "messageStart"
    assert events.count("contentBlockDelta") > 5
    assert events[-1] == "metadata"


def test_an_sdk_sends_a_bearer_token_which_it_refuses_over_http(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "any, nobody looks")
    sent: list[object] = []
    client = sdk(emulator)
    client.meta.events.register("before-send", lambda request, **_: sent.append(request.headers["Authorization"]))

    assert client.converse(**ask())["usage"]["outputTokens"] == 50
    assert sent == [b"Bearer any, nobody looks"]


def test_an_sdk_that_does_not_trust_the_certificate_says_so_and_the_emulator_says_what_to_do(
    emulator: EmulatorProcess, log: Path
) -> None:
    for _ in range(2):
        with pytest.raises(SSLError, match="certificate verify failed"):
            sdk(emulator, verify=True).converse(**ask())

    told = "A client does not trust this endpoint's certificate: tell it which authority to trust (AWS_CA_BUNDLE;"
    assert log.read_text(encoding="utf-8").count(told) == 1, "once, however often a client tries"


def test_plain_http_on_the_https_port_is_told_what_to_do(emulator: EmulatorProcess, log: Path) -> None:
    with pytest.raises(ClientError, match="This endpoint speaks HTTPS, not HTTP: use https:// in its URL"):
        sdk(emulator, endpoint_url=emulator.url.replace("https", "http")).converse(**ask())

    assert "A client tried HTTP, but this endpoint speaks HTTPS" in log.read_text(encoding="utf-8")
    assert sdk(emulator).converse(**ask())["stopReason"] == "end_turn"


def test_https_on_the_http_port_fails_at_once_and_is_told_on_the_terminal(start_emulator: Any, tmp_path: Path) -> None:
    plain = start_emulator(config=FAST, log=tmp_path / "log")
    with pytest.raises(SSLError, match=r"WRONG_VERSION_NUMBER|wrong version number"):
        sdk(plain, endpoint_url=plain.url.replace("http", "https"), verify=True).converse(**ask())

    assert "A client tried HTTPS, but this endpoint speaks HTTP: use http://" in (tmp_path / "log").read_text("utf-8")
    assert plain.stats()["total"]["requests"] == 0


# --- on the wire ---------------------------------------------------------------------------------------------


def test_each_event_leaves_in_a_record_of_its_own(emulator: EmulatorProcess) -> None:
    """A read of a TLS socket ends with the record, so that it shows what was written at once."""
    with encrypted(emulator) as connection:
        connection.sendall(post("converse-stream"))
        records = []
        while not records or not records[-1].endswith(b"\r\n0\r\n\r\n"):
            records.append(connection.recv(1 << 16))

    contents = records[1:-1]
    frames = [FrameDecoder().feed(record.partition(b"\r\n")[2].removesuffix(b"\r\n")) for record in contents]
    assert len(contents) > 10
    assert all(len(one) == 1 and one[0].event_type == "contentBlockDelta" for one in frames)


def test_what_is_due_is_sent_while_the_rest_is_not(start_tls: StartTls) -> None:
    emulator = start_tls(STALLS)
    with encrypted(emulator) as connection, connection.makefile("rb") as reader:
        connection.sendall(post("converse-stream"))
        assert read_head(reader)[0] == 200
        received = b""
        while b"contentBlockDelta" not in received:
            received += connection.recv(1 << 16)
        assert emulator.stats()["total"]["in_flight"] == 1


def test_requests_come_one_after_the_other_on_one_connection(emulator: EmulatorProcess) -> None:
    with encrypted(emulator) as connection, connection.makefile("rb") as reader:
        connection.sendall(post("converse"))
        first = read_answer(reader)
        connection.sendall(post("converse") + post("converse"))

        assert [read_answer(reader)["usage"] for _ in range(2)] == [first["usage"]] * 2


def test_a_request_may_come_in_pieces_as_may_the_handshake(emulator: EmulatorProcess) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(emulator).wrap_bio(incoming, outgoing, server_hostname=address(emulator)[0])
    with socket.create_connection(address(emulator), timeout=30) as raw:

        def until_done(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    result = step()
                except ssl.SSLWantReadError:
                    result = None
                data = outgoing.read()
                for place in range(0, len(data), 100):
                    raw.sendall(data[place : place + 100])
                    time.sleep(0.002)
                if result is not None:
                    return result
                incoming.write(raw.recv(1 << 16))

        until_done(lambda: client.do_handshake() or True)
        until_done(lambda: client.write(post("converse")))
        assert until_done(lambda: client.read(1 << 16)).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_slow_reader_gets_every_frame_whole(start_tls: StartTls) -> None:
    emulator = start_tls(LONG_ANSWER)
    with encrypted(emulator, receive_buffer=2048) as connection, connection.makefile("rb") as reader:
        connection.sendall(post("converse-stream", model_id="amazon.nova-2-lite-v1:0"))
        wait_for(lambda: emulator.stats()["total"]["outcomes"].get("ok") == 1)
        read_head(reader)
        frames = [FrameDecoder().feed(chunk) for chunk in read_chunks(reader)]

    assert all(len(one) == 1 for one in frames)
    assert json.loads(frames[-1][0].payload)["usage"]["outputTokens"] == 20_000


def test_an_answer_that_ends_with_the_connection_ends_with_a_farewell(emulator: EmulatorProcess) -> None:
    """Otherwise a client could not tell it from one that was cut off."""
    with encrypted(emulator) as connection, connection.makefile("rb") as reader:
        connection.sendall(post("converse-stream", version="1.0"))
        assert read_head(reader)[0] == 200
        assert FrameDecoder().feed(reader.read())[-1].event_type == "metadata"


def test_what_is_no_request_is_answered_and_then_the_connection_ends(emulator: EmulatorProcess) -> None:
    with encrypted(emulator) as connection, connection.makefile("rb") as reader:
        connection.sendall(b"nonsense\r\n\r\n")
        status, fields = read_head(reader)
        assert status == 400
        assert "Not an HTTP request" in json.loads(reader.read(int(fields["content-length"])))["message"]
        assert reader.read() == b""


def test_a_client_that_can_do_http_2_is_told_to_speak_http_1_1(emulator: EmulatorProcess) -> None:
    context = trusting(emulator)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with encrypted(emulator, context) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


def test_versions_of_tls_that_are_no_longer_safe_are_refused(emulator: EmulatorProcess) -> None:
    context = trusting(emulator)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"), encrypted(emulator, context):
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_safe_versions_are_spoken(emulator: EmulatorProcess, version: ssl.TLSVersion) -> None:
    context = trusting(emulator)
    context.minimum_version = context.maximum_version = version
    with encrypted(emulator, context) as connection, connection.makefile("rb") as reader:
        connection.sendall(post("converse"))
        assert read_answer(reader)["stopReason"] == "end_turn"


# --- clients that leave --------------------------------------------------------------------------------------


def say_farewell(connection: ssl.SSLSocket) -> None:
    """Close the encryption only; the TCP connection stays open."""
    connection.setblocking(False)
    with suppress(ssl.SSLWantReadError):  # the answer to it may be there already, or not yet
        connection.unwrap()


def close_writing_side(connection: ssl.SSLSocket) -> None:
    socket.socket.shutdown(connection, socket.SHUT_WR)


def reset(connection: ssl.SSLSocket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket.close(connection)


@pytest.mark.parametrize("leave", [say_farewell, close_writing_side, reset])
@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
def test_a_client_that_leaves_before_its_answer_is_logged(
    start_tls: StartTls, leave: Callable[[ssl.SSLSocket], None], operation: str
) -> None:
    emulator = start_tls(NEVER_ANSWERS)
    with encrypted(emulator) as connection:
        connection.sendall(post(operation))
        wait_for(lambda: emulator.stats()["total"]["in_flight"] == 1)
        leave(connection)
        wait_for(lambda: emulator.truth() != [])
        (entry,) = emulator.truth()

        assert entry["outcome"] == "client_gone"
        assert entry["status"] is None
        wait_for(lambda: emulator.stats()["connections"] == 1)


@pytest.mark.parametrize("leave", [say_farewell, close_writing_side, reset])
def test_a_client_that_leaves_in_the_middle_of_a_stream_is_logged(
    start_tls: StartTls, leave: Callable[[ssl.SSLSocket], None]
) -> None:
    emulator = start_tls(STALLS)
    with encrypted(emulator) as connection:
        connection.sendall(post("converse-stream"))
        received = b""
        while b"contentBlockDelta" not in received:
            received += connection.recv(1 << 16)
        leave(connection)
        wait_for(lambda: emulator.truth() != [])
        (entry,) = emulator.truth()

    assert entry["outcome"] == "client_gone"
    assert entry["status"] == 200
    assert entry["first_token_at"] is not None
    assert entry["output_tokens"] == 1


@pytest.mark.parametrize(
    "sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00", b"\x16\x03\x01garbage garbage", b"\x16" + b"\xff" * 4000]
)
def test_what_never_becomes_tls_does_no_harm(emulator: EmulatorProcess, sent: bytes) -> None:
    before = emulator.stats()["connections"]
    with socket.create_connection(address(emulator), timeout=30) as raw:
        raw.sendall(sent)
        assert emulator.stats()["total"]["in_flight"] == 0

    wait_for(lambda: emulator.stats()["connections"] <= before)
    assert sdk(emulator).converse(**ask())["stopReason"] == "end_turn"


def test_the_end_of_the_emulator_is_a_farewell(start_tls: StartTls) -> None:
    emulator = start_tls(NEVER_ANSWERS)
    with encrypted(emulator) as connection:
        connection.sendall(post("converse"))
        wait_for(lambda: emulator.stats()["total"]["in_flight"] == 1)
        emulator.stop()
        assert connection.recv(1) == b""


# --- the process ---------------------------------------------------------------------------------------------


def test_the_ca_bundle_is_there_as_long_as_the_emulator_runs() -> None:
    emulator = EmulatorProcess(tls=True)
    with pytest.raises(EmulatorError, match="not running"):
        _ = emulator.ca_bundle
    bundles = []
    for _ in range(2):
        with emulator:
            assert emulator.ca_bundle is not None
            assert emulator.ca_bundle.is_file()
            bundles.append(emulator.ca_bundle)
            emulator.reset()
            assert emulator.truth() == []

    assert not any(path.exists() for path in bundles)


def test_without_tls_there_is_nothing_to_trust(start_emulator: Any) -> None:
    assert start_emulator().ca_bundle is None


def test_any_name_of_this_machines_loopback_is_in_the_certificate(emulator: EmulatorProcess) -> None:
    _, port = address(emulator)
    connection = http.client.HTTPSConnection("localhost", port, context=trusting(emulator), timeout=30)
    connection.request("GET", "/_emulator/health")

    assert connection.getresponse().status == 200
    connection.close()
