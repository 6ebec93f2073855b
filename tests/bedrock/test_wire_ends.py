"""How calls and connections of the wire transport end when one side has had enough before the other."""

import gevent
from gevent.server import StreamServer

import datetime
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bedrock.client import TRANSPORTS, BedrockClient, make_transport
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome
from emulator.tls import generated_tls
from tests.support.scripted_server import START, delta, stream
from tests.support.sdk import NOVA
from tests.support.wire import ANSWER, INVOCATION, Server, called, transport_to

TOO_LONG = b'{"message":"too long"}'
REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\nx-amzn-ErrorType: ValidationException\r\nContent-Length: %d\r\n\r\n" % len(TOO_LONG)
) + TOO_LONG
#: More than any socket's buffer takes.
LARGE = Invocation("converse", NOVA, "x" * 8_000_000, 10)


@contextmanager
def handling(handle: Callable[[Any], None]) -> Iterator[str]:
    """The URL of a server in the same event loop that does this with every connection."""
    server = StreamServer(("127.0.0.1", 0), lambda connection, _address: handle(connection))
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=0)


# --- requests that nobody reads to their end -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(b"", Outcome.CONNECTION_ERROR), (REFUSAL, Outcome.CLIENT_ERROR)],
    ids=["hangs up", "refuses"],
)
def test_a_server_that_ends_before_the_request_is_sent_ends_the_call_and_nothing_else(
    answer: bytes, outcome: Outcome
) -> None:
    def handle(connection: Any) -> None:
        connection.recv(1000)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        gevent.sleep(1.0)

    with handling(handle) as url:
        assert called(transport_to(url), LARGE).outcome is outcome


def test_a_refusal_ends_the_call_although_the_server_neither_reads_on_nor_hangs_up() -> None:
    connections = 0

    def handle(connection: Any) -> None:
        nonlocal connections
        connections += 1
        connection.recv(1000)
        connection.sendall(REFUSAL)
        gevent.sleep(60.0)

    with handling(handle) as url, gevent.Timeout(30.0):
        transport = transport_to(url, read_timeout_s=600.0)
        records = [called(transport, LARGE) for _ in range(2)]

    assert [(record.outcome, record.http_status) for record in records] == [(Outcome.CLIENT_ERROR, 400)] * 2
    assert connections == 2, "half a request is still to come on the first"


def test_a_server_that_resets_the_connection_is_a_connection_error() -> None:
    def handle(connection: Any) -> None:
        connection.recv(1000)
        connection.close()  # with bytes unread

    with handling(handle) as url:
        assert called(transport_to(url), LARGE).outcome is Outcome.CONNECTION_ERROR


def test_a_server_that_takes_no_more_of_a_request_is_a_timeout_that_says_so() -> None:
    with handling(lambda _connection: gevent.sleep(60.0)) as url:
        record = called(transport_to(url, read_timeout_s=0.2), LARGE)

    assert record.outcome is Outcome.TIMEOUT
    assert "could not be sent" in str(record.error_message)


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
)
def test_an_interim_answer_in_a_packet_of_its_own_is_not_the_answer(interim: bytes) -> None:
    with Server(interim, ANSWER) as server:
        transport = transport_to(server.url)
        records = [called(transport) for _ in range(2)]

    assert [(record.outcome, record.http_status, record.events) for record in records] == [(Outcome.OK, 200, 5)] * 2
    assert server.connections == 1


# --- the end of a test ---------------------------------------------------------------------------------------


def wait_until_left(server: Server) -> None:
    with gevent.Timeout(10.0):
        while server.clients:
            gevent.sleep(0.001)


def test_a_closed_transport_leaves_no_connection_behind() -> None:
    with Server(ANSWER) as server:
        transport = transport_to(server.url)
        called(transport)
        kept = server.clients
        transport.close()
        wait_until_left(server)

    assert kept == 1


def test_a_connection_in_use_is_closed_when_its_call_ends() -> None:
    with Server(stream([START, delta("こ")])) as server:
        server.pieces.insert(1, b"")
        transport = transport_to(server.url)
        call = gevent.spawn(called, transport)
        while not server.requests:
            gevent.sleep(0.001)
        transport.close()
        outcome = call.get().outcome
        wait_until_left(server)

    assert outcome is Outcome.TRUNCATED, "closing the transport cut nothing off: the stream came to its own end"


# --- TLS -----------------------------------------------------------------------------------------------------


class PoliteServer:
    """Answers over TLS and says goodbye (close_notify) without closing the connection."""

    def __init__(self, directory: Path) -> None:
        tls = generated_tls(directory, "127.0.0.1")
        self.ca_bundle = str(tls.ca_bundle)
        self.has_said_goodbye = threading.Event()
        self.connections = 0
        self._context = tls.context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._kept):
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._kept.append(connection)
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)
        _until_done(tls.do_handshake, connection, incoming, outgoing)
        _until_done(lambda: tls.read(65536), connection, incoming, outgoing)
        tls.write(ANSWER)
        with_goodbye = self._goodbye(tls)
        connection.sendall(outgoing.read())
        assert with_goodbye
        self.has_said_goodbye.set()

    @staticmethod
    def _goodbye(tls: ssl.SSLObject) -> bool:
        try:
            tls.unwrap()
        except ssl.SSLWantReadError:  # it would wait for the client's goodbye
            return True
        return False


def _until_done(
    step: Callable[[], object], connection: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
) -> None:
    while True:
        try:
            step()
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65536))
        else:
            connection.sendall(outgoing.read())
            return


def test_a_tls_connection_that_the_server_has_ended_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PoliteServer(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", server.ca_bundle)
    try:
        transport = transport_to(server.url)
        outcomes = []
        for _ in range(2):
            server.has_said_goodbye.clear()
            outcomes.append(called(transport).outcome)
            server.has_said_goodbye.wait(10.0)  # the loop gets no turn meanwhile
    finally:
        server.close()

    assert outcomes == [Outcome.OK] * 2
    assert server.connections == 2


# --- credentials ---------------------------------------------------------------------------------------------


def test_credentials_that_cannot_be_refreshed_are_a_record_and_no_exception_in_the_users_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile whose process gives credentials for a moment, and then no more."""
    soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5)).isoformat()
    given = {"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "secret", "Expiration": soon}
    script = tmp_path / "credentials.sh"
    once = f"cd {tmp_path} || exit 1\n[ -e given ] && exit 1\ntouch given\n"
    script.write_text(f"#!/bin/sh\n{once}echo '{json.dumps(given)}'\n")
    script.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    records = []
    for name in TRANSPORTS:
        (tmp_path / "given").unlink(missing_ok=True)
        endpoint = Endpoint("us-east-1", "http://bedrock.invalid:80")
        transport = make_transport(name, endpoint, pool_size=1, read_timeout_s=5.0)
        record = InvocationRecord("run", "cell", "local", 0, "m")
        BedrockClient(transport).invoke(INVOCATION, record)
        records.append(record)

    for record in records:
        assert (record.outcome, record.error_code) == (Outcome.CLIENT_ERROR, "CredentialRetrievalError")
        assert "custom-process" in str(record.error_message)
