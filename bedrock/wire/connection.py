"""One kept-alive connection, read by call-backs of the gevent loop.

A watcher of the loop stays on the socket for the connection's whole life. When bytes arrive, the loop calls back, the
clock is stamped before anything is parsed, and the caller's greenlet goes on sleeping until the answer is complete:
waking it for every event costs more than reading the event does.
"""

import gevent
from gevent.hub import Waiter

from typing import Any, Protocol

import httptools

from bedrock.clock import now
from bedrock.failures import CallFailedError, Failure
from bedrock.wire import kernel_stamps
from bedrock.wire.dialing import Address, dial
from bedrock.wire.tls import TlsPipe

_RECEIVE_BYTES = 64 * 1024
_READABLE = 1
_WRITABLE = 2
_FIRST_FINAL_STATUS = 200
#: Either of them says where a body ends; without them it ends with the connection.
_LENGTH_HEADERS = frozenset({"content-length", "transfer-encoding"})


class AnswerSink(Protocol):
    """What takes an answer as it arrives. An exception it raises fails the call and closes the connection."""

    def head(self, status: int, headers: dict[str, str], at: float) -> None:
        """The status and the headers (names in lower case) have been read."""

    @property
    def has_begun(self) -> bool:
        """Whether the first token has come: what is read from then on needs no second clock."""

    def body(self, data: bytes, at: float) -> None:
        """A part of the body; `at` is when the bytes arrived, in Unix seconds of `bedrock.clock`."""


class Connection:
    """A connection to one address; answers one request at a time."""

    def __init__(self, address: Address, connect_timeout_s: float) -> None:
        """Connect and, where asked for, shake hands; CallFailedError where that fails."""
        line = dial(address, connect_timeout_s)
        self._loop: Any = gevent.get_hub().loop
        self._socket, self._tls = line.socket, line.tls
        self.connect_ms = line.connect_ms
        #: The TLS handshake's part of it; None without TLS.
        self.tls_ms = line.tls_ms
        self.bytes_received = 0
        #: How long what brought the first token lay in the socket; None where nobody can tell (TLS, not Linux).
        self.receive_lag_ms: float | None = None
        self._can_stamp = self._tls is None and kernel_stamps.enable(self._socket)
        self._is_stamping = False
        self.is_open = True
        self.calls = 0
        self._parser = httptools.HttpResponseParser(self)
        self._sink: AnswerSink | None = None
        self._waiter: Waiter | None = None
        self._headers: dict[str, str] = {}
        self._is_complete = False
        #: Whether the answer being read ends where the connection does: it has no length of its own.
        self._ends_with_connection = False
        self._unsent: memoryview | None = None
        self._keeps_alive = True
        self._at = 0.0
        self._timeout_s = 0.0
        #: When bytes last went either way.
        self._moved_at = 0.0
        self._timer: Any = None
        fd = self._socket.fileno()
        self._writer: Any = self._loop.io(fd, _WRITABLE)
        self._watcher: Any = self._loop.io(fd, _READABLE)
        self._watcher.start(self._readable)

    # --- a call ----------------------------------------------------------------------------------------------

    def exchange(self, request: bytes, sink: AnswerSink, read_timeout_s: float) -> None:
        """Send a request and sleep until its answer is complete; CallFailedError where it does not become so.

        A kill of the calling greenlet closes the connection: what is still to come belongs to nobody. So does an
        answer that is complete before all of the request was sent.
        """
        self._sink = sink
        self.calls += 1
        self.bytes_received = 0
        self.receive_lag_ms = None
        self._is_stamping = self._can_stamp
        waiter = self._waiter = Waiter()
        self._timeout_s = read_timeout_s
        self._ends_with_connection = False
        self._moved_at = now()
        try:
            self._unsent = memoryview(request if self._tls is None else self._tls.encrypt(request))
            self._write()
            self._start_timer(read_timeout_s)
            waiter.get()
        except BaseException:
            self.close()
            raise
        finally:
            self._sink = self._waiter = None
            self._stop_timer()
        if self._tls is not None:
            self._tls.remember_session()
            self._keeps_alive = self._keeps_alive and not self._tls.is_ended
        if not self._keeps_alive or self._unsent is not None:
            self.close()

    def is_usable(self) -> bool:
        """Whether the server has left it open: looked up, because the loop may not have had its turn to notice."""
        while self.is_open and self._read():
            pass
        return self.is_open

    def close(self) -> None:
        """Close it; does nothing if it is closed. The watchers go first: libev aborts on one whose file is closed."""
        if not self.is_open:
            return
        self.is_open = False
        for watcher in (self._watcher, self._writer):
            watcher.stop()
            watcher.close()
        self._stop_timer()
        self._socket.close()

    # --- called by the loop ----------------------------------------------------------------------------------

    def _readable(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Take what has arrived; whether there was anything."""
        try:
            data = self._receive_stamped() if self._is_stamping else self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(CallFailedError(Failure.CONNECTION_CLOSED, error.strerror or str(error)))
            return True
        self._at = self._moved_at = now()
        if not data:
            self._ended_by_server()
            return True
        self.bytes_received += len(data)
        try:
            if self._tls is None:
                self._feed(data)
            else:
                self._decrypt(self._tls, data)
        except Exception as error:  # noqa: BLE001 - it belongs to the greenlet that made the call, not to the loop
            self._fail(error)
        return True

    def _receive_stamped(self) -> bytes:
        data, lag_s = kernel_stamps.receive(self._socket, _RECEIVE_BYTES)
        if data:
            self.receive_lag_ms = None if lag_s is None else lag_s * 1000.0
        return data

    def _decrypt(self, tls: TlsPipe, data: bytes) -> None:
        plain = tls.decrypt(data)
        reply = tls.pending()  # what TLS itself has to say, such as the answer to a key update
        if reply:
            self._socket.send(reply)
        if plain:
            self._feed(plain)
        if tls.is_ended and self.is_open:
            self._ended_by_server()

    def _feed(self, data: bytes) -> None:
        if self._sink is None:  # an idle server says nothing; whatever this is, the connection cannot be trusted
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            # The parser wraps what its call-backs raise.
            cause = error.__context__
            raise (
                cause if isinstance(cause, Exception) else CallFailedError(Failure.INVALID_RESPONSE, str(error))
            ) from error
        if self._is_stamping and self._sink.has_begun:
            self._is_stamping = False
        if self._is_complete:
            self._is_complete = False
            self._answered()

    def _answered(self) -> None:
        waiter, self._waiter, self._sink = self._waiter, None, None
        self._writer.stop()
        if waiter is not None:
            waiter.switch(None)

    def _ended_by_server(self) -> None:
        """The server sends no more, which ends an answer without a length, and cuts off any other."""
        if self._sink is not None and self._ends_with_connection:
            self._keeps_alive = False
            self._watcher.stop()  # the end of a stream stays readable for ever
            self._answered()
        else:
            self._fail(CallFailedError(Failure.CONNECTION_CLOSED))

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter, self._sink = self._waiter, None, None
        self.close()
        if waiter is not None:
            waiter.throw(error)

    def _writable(self) -> None:
        self._write()

    def _silence_is_over(self) -> None:
        silent_s = now() - self._moved_at
        if silent_s + 0.001 < self._timeout_s:
            self._start_timer(self._timeout_s - silent_s)
        else:
            detail = "" if self._unsent is None else "the request could not be sent"
            self._fail(CallFailedError(Failure.READ_TIMEOUT, detail))

    # --- called by the parser --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            return
        self._ends_with_connection = not self._headers.keys() & _LENGTH_HEADERS
        if self._sink is not None:
            self._sink.head(status, self._headers, self._at)

    def on_body(self, data: bytes) -> None:
        """Called by the parser for each part of the body."""
        if self._sink is not None:
            self._sink.body(data, self._at)

    def on_message_complete(self) -> None:
        """Called by the parser: the answer is whole. The greenlet is woken once the parser has returned.

        An interim answer (1xx) is none; the real one follows it.
        """
        if self._parser.get_status_code() < _FIRST_FINAL_STATUS:
            return
        self._is_complete = True
        self._keeps_alive = self._parser.should_keep_alive()

    # --- inside ----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Send as much as the kernel takes; the rest when the loop says that it takes more."""
        view = self._unsent
        try:
            while view:
                view = view[self._socket.send(view) :]
                self._moved_at = now()
        except BlockingIOError:
            self._unsent = view
            if not self._writer.active:
                self._writer.start(self._writable)
            return
        except OSError:
            # A server may answer and hang up before it has read all. What it said, or that it did, is for the reader.
            self._writer.stop()
            return
        self._unsent = None
        self._writer.stop()

    def _start_timer(self, delay_s: float) -> None:
        self._stop_timer()
        self._timer = self._loop.timer(delay_s)
        self._timer.start(self._silence_is_over)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
