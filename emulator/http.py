"""HTTP/1.1 for the emulator: one asyncio protocol per connection, parsed by llhttp, written straight to the socket.

A frame is written with one system call the moment it is due. The event loop's own buffered write would leave at
the end of the loop's turn, after the time stamp; it is used only for what the socket does not take at once.
"""

import asyncio
import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools

from bedrock.clock import now
from emulator.hints import tell_user

#: Bedrock's own limit of a request body.
MAX_BODY_BYTES = 25_000_000
MAX_HEAD_BYTES = 64 * 1024
#: Requests read ahead of the one being answered (pipelining); beyond them the socket is not read.
MAX_WAITING_REQUESTS = 16
#: How long a refused client may go on sending before its connection is cut.
_LINGER_S = 2.0

_HTTP2_PREFACE = b"PRI * HTTP/2.0"
_TLS_HANDSHAKE = b"\x16\x03"

HeaderFields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as read: the target undecoded, header names in lower case."""

    method: str
    target: bytes
    headers: dict[str, str]
    body: bytes
    received_at: float
    keep_alive: bool
    chunked_answer: bool

    @property
    def path(self) -> str:
        """The target's path, still percent-encoded."""
        return self.target.split(b"?", 1)[0].decode("latin-1")

    @property
    def query(self) -> str:
        """What follows the question mark, or nothing."""
        return self.target.partition(b"?")[2].decode("latin-1")


class Handler(Protocol):
    """What answers requests."""

    def handle(self, exchange: "Exchange") -> None:
        """Answer the exchange, now or later."""

    def abandoned(self, exchange: "Exchange", *, by_client: bool) -> None:
        """The exchange's turn never came: its connection has ended, by the client or by this side."""


class Exchange:
    """One request and the answer to it.

    Answer with `respond`, or with `stream_head`, `send` and `finish`. Each returns False when the client has gone; then
    `on_gone` is called, if set, and nothing more needs to be done.
    """

    __slots__ = ("_connection", "on_gone", "request", "started_at")

    def __init__(self, request: Request, connection: "Connection", started_at: float) -> None:
        self.request = request
        #: When work on it began: when it was read, or, if it was pipelined, when the one before it was answered.
        self.started_at = started_at
        self.on_gone: Callable[[], None] | None = None
        self._connection = connection

    def respond(self, status: int, fields: HeaderFields, body: bytes) -> bool:
        """The whole answer at once."""
        head = response_head(status, [*fields, ("Content-Length", str(len(body)))], keep_alive=self.request.keep_alive)
        content = b"" if self.request.method == "HEAD" else body
        return self._connection.write(head + content) and self._connection.answered(self)

    def respond_json(self, status: int, document: Any, fields: HeaderFields = ()) -> bool:
        """The whole answer as JSON with keys in alphabetical order, as Bedrock writes it."""
        return self.respond(status, [("Content-Type", "application/json"), *fields], json_body(document))

    def stream_head(self, fields: HeaderFields) -> bytes:
        """The head of an answer in chunks, to be sent with the first of them."""
        chunked = [("Transfer-Encoding", "chunked")] if self.request.chunked_answer else []
        return response_head(200, [*fields, *chunked], keep_alive=self.keep_alive)

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open; without chunks its end is the answer's end."""
        return self.request.keep_alive and self.request.chunked_answer

    def chunk(self, data: bytes) -> bytes:
        """`data` as one chunk."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.request.chunked_answer else data

    @property
    def last_chunk(self) -> bytes:
        """What closes an answer in chunks."""
        return b"0\r\n\r\n" if self.request.chunked_answer else b""

    def send(self, data: bytes) -> bool:
        """Hand bytes to the socket now."""
        return self._connection.write(data)

    def finish(self) -> bool:
        """The answer in chunks is complete."""
        return self._connection.answered(self)

    def abort(self) -> None:
        """Close the connection although the answer is not complete; what was sent before still arrives."""
        self._connection.cut(self)


class Connection(asyncio.Protocol):
    """One client connection; answers its requests one after the other."""

    def __init__(self, handler: Handler, open_connections: "set[Connection]") -> None:
        self._handler = handler
        self._open_connections = open_connections
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._parser = httptools.HttpRequestParser(self)
        self._exchange: Exchange | None = None
        self._waiting: deque[Request] = deque()
        self._read_at = 0.0
        self._is_refused = False
        self._is_behind = False
        self._refusal: tuple[int, str] | None = None
        self._reset_message()

    # --- asyncio ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has the methods but not the base class
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._fd = raw.fileno()
        self._open_connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._is_refused:
            return
        self._read_at = now()
        self._feed(data)
        self._answer_next(self._read_at)

    def eof_received(self) -> None:
        """Called by the loop: the client closed its side, which for an HTTP client means that it has gone."""
        self._client_gone()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Called by the loop."""
        self._open_connections.discard(self)
        self._client_gone()

    # --- httptools -------------------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """Called by the parser, once per part of the target."""
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each header."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        # Given more than once, a header is a list; without a space, as AWS signatures join it.
        self._headers[key] = f"{self._headers[key]},{text}" if key in self._headers else text
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if int(self._headers.get("content-length") or 0) > MAX_BODY_BYTES:
            self._refusal = (413, f"The request body exceeds {MAX_BODY_BYTES} bytes.")
        elif self._expects_to_be_told() and self._exchange is None and not self._waiting:
            # Behind a request that is being answered it would land in that answer; clients go on without it in time.
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _expects_to_be_told(self) -> bool:
        return self._headers.get("expect", "").lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        """Called by the parser for each part of the body."""
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refusal = (413, f"The request body exceeds {MAX_BODY_BYTES} bytes.")
            self._body.clear()

    def on_message_complete(self) -> None:
        """Called by the parser: one request is complete; it is answered when the parser has returned."""
        if self._refusal is not None:
            return
        self._waiting.append(
            Request(
                method=self._parser.get_method().decode("latin-1"),
                target=self._target,
                headers=self._headers,
                body=b"".join(self._body),
                received_at=self._read_at,
                keep_alive=self._parser.should_keep_alive(),
                chunked_answer=self._parser.get_http_version() != "1.0",
            )
        )
        self._reset_message()

    # --- answering -------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> bool:
        """Hand bytes to the socket; False when there is nobody to read them."""
        if self._fd < 0 or self._transport is None:
            return False
        # Asking costs a tenth of the write; only a socket that was full once has something waiting.
        if not self._is_behind or self._transport.get_write_buffer_size() == 0:
            self._is_behind = False
            try:
                sent = os.write(self._fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._fd = -1
                self._transport.abort()
                return False
            if sent == len(data):
                return True
            data = data[sent:]
        self._is_behind = True
        self._transport.write(data)
        return True

    def answered(self, exchange: Exchange) -> bool:
        """An exchange is complete: close the connection or take the next request."""
        if self._exchange is not exchange:
            return False
        self._exchange = None
        if not (exchange.request.keep_alive and exchange.request.chunked_answer):
            self.close()
        elif self._waiting or self._refusal:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: self._answer_next(now()))
        return True

    def cut(self, exchange: Exchange) -> None:
        """An exchange ends here, and the connection with it."""
        if self._exchange is exchange:
            self._exchange = None
            self.close()

    def close(self) -> None:
        """Close the connection once what is written is sent."""
        self._fd = -1
        self._abandon_waiting(by_client=False)
        if self._transport is not None:
            self._transport.close()

    def _answer_next(self, started_at: float) -> None:
        if self._exchange is None and self._fd >= 0:
            if self._waiting:
                self._exchange = Exchange(self._waiting.popleft(), self, started_at)
                self._handler.handle(self._exchange)
            elif self._refusal is not None:
                self._refuse(*self._refusal)
        self._pace_reading()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._carry_on_without_upgrade(data, upgrade)
        except httptools.HttpParserError as error:
            self._refusal = self._refusal or _malformed(data, error)

    def _pace_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if len(self._waiting) >= MAX_WAITING_REQUESTS:
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request, then close: the parser cannot find the start of another one."""
        self._is_refused = True
        body = json.dumps({"message": message}).encode()
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        self.write(response_head(status, fields, keep_alive=False) + body)
        if self._transport is not None and self._fd >= 0:
            # Closing at once with unread input would reset the connection and take the answer with it.
            self._end_output()
            asyncio.get_running_loop().call_later(_LINGER_S, self.close)

    def _end_output(self) -> None:
        """Say that nothing more will be written."""
        if self._transport is not None:
            self._transport.write_eof()

    def _abandon_waiting(self, *, by_client: bool) -> None:
        """Requests that came behind another and will have no answer."""
        while self._waiting:
            request = self._waiting.popleft()
            self._handler.abandoned(Exchange(request, self, request.received_at), by_client=by_client)

    def _client_gone(self) -> None:
        self._fd = -1
        self._abandon_waiting(by_client=True)
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.on_gone is not None:
            exchange.on_gone()

    def _carry_on_without_upgrade(self, data: bytes, upgrade: Exception) -> None:
        """A server may ignore `Upgrade` and answer in HTTP/1.1.

        The parser takes such a request for complete at the end of its head, so that it is read again without the
        header, body and all. A CONNECT, which has no other meaning, stays as it is and nothing can follow it.
        """
        if self._refusal is not None or not self._waiting:
            return
        if self._waiting[-1].method == "CONNECT":
            self._refusal = (400, "Nothing can follow a CONNECT, which this server does not do.")
            return
        request = self._waiting.pop()
        fields = {name: value for name, value in request.headers.items() if name not in ("upgrade", "expect")}
        head = f"{request.method} {request.target.decode('latin-1')} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        self._parser = httptools.HttpRequestParser(self)
        self._feed(head.encode("latin-1") + data[upgrade.args[0] :])

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refusal = (431, f"The request's head exceeds {MAX_HEAD_BYTES} bytes.")

    def _reset_message(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0


def json_body(document: Any) -> bytes:
    """A body of JSON with keys in alphabetical order."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    # A client can send lone surrogates as JSON escapes and have them repeated in an error message.
    return text.encode("utf-8", "replace")


def response_head(status: int, fields: HeaderFields, *, keep_alive: bool) -> bytes:
    """Status line and headers, with date and connection."""
    lines = [
        f"HTTP/1.1 {status} {_reason(status)}",
        f"Date: {_http_date()}",
        *(f"{name}: {value}" for name, value in fields),
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


_date_cache: tuple[int, str] = (0, "")


def _http_date() -> str:
    global _date_cache  # noqa: PLW0603 - one text a second instead of one an answer
    second = int(time.time())
    if _date_cache[0] != second:
        _date_cache = (second, formatdate(second, usegmt=True))
    return _date_cache[1]


def _malformed(data: bytes, error: Exception) -> tuple[int, str]:
    """Status and text for bytes that are no HTTP/1.1 request."""
    if data.startswith(_HTTP2_PREFACE):
        hint = (
            "This endpoint speaks HTTP/1.1 only; a client tried HTTP/2 "
            "(JavaScript SDK: use NodeHttpHandler; Java SDK: Protocol.HTTP1_1)."
        )
        tell_user(hint)
        return 505, hint
    if data.startswith(_TLS_HANDSHAKE):
        tell_user("A client tried HTTPS, but this endpoint speaks HTTP: use http:// in its URL, or start with --tls.")
        return 400, "This endpoint speaks HTTP, not HTTPS: use http:// in its URL."
    return 400, f"Not an HTTP request: {error}"
