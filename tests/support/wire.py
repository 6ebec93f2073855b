"""Wire transports in the test's own event loop, and a server beside them that sends what it is given, in pieces."""

import gevent
from gevent.server import StreamServer

import socket
from typing import Any

from bedrock.client import BedrockClient
from bedrock.endpoint import Endpoint
from bedrock.invocation import Invocation, InvocationRecord
from bedrock.wire.factory import make_wire_transport
from bedrock.wire.transport import WireTransport
from tests.support.scripted_server import METADATA, START, STOP, delta, read_request, stream
from tests.support.sdk import NOVA

ANSWER = stream([START, delta("こん"), delta("にちは"), STOP, METADATA])
INVOCATION = Invocation("converse_stream", NOVA, "Where is my order?", 100)


def called(transport: WireTransport, invocation: Invocation = INVOCATION) -> InvocationRecord:
    record = InvocationRecord("run", "cell", "local", 0, "m")
    BedrockClient(transport).invoke(invocation, record)
    return record


def transport_to(url: str, pool_size: int = 4, read_timeout_s: float = 20.0) -> WireTransport:
    return make_wire_transport(Endpoint("us-east-1", url), pool_size=pool_size, read_timeout_s=read_timeout_s)


class Server:
    """A server in the same event loop that sends these pieces for every request, and counts its connections."""

    def __init__(self, *pieces: bytes, keeps_open: bool = True) -> None:
        self.pieces = list(pieces)
        self.connections = 0
        #: Those that the client has not closed.
        self.clients = 0
        self.requests = 0
        self._keeps_open = keeps_open
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._sockets: list[Any] = []

    def __enter__(self) -> "Server":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(timeout=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def hang_up(self) -> None:
        for connection in self._sockets:
            connection.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _serve(self, connection: Any, _: Any) -> None:
        self.connections += 1
        self.clients += 1
        self._sockets.append(connection)
        try:
            self._answer_all(connection)
        finally:
            self.clients -= 1

    def _answer_all(self, connection: Any) -> None:
        while read_request(connection):
            self.requests += 1
            for piece in self.pieces:
                connection.sendall(piece)
                gevent.sleep(0)
            if not self._keeps_open:
                connection.close()
                return
