"""One kept-alive connection, read by call-backs of the gevent loop.

A watcher of the loop stays on the socket for the connection's whole life. When bytes arrive, the loop calls back, the
clock is stamped before anything is parsed, and the caller's greenlet goes on sleeping until the answer is complete:
waking it for every event costs more than reading the event does.
"""

import gevent
import gevent.socket
from gevent.hub import Waiter
from gevent.monkey import get_original

import socket
import ssl
from dataclasses import dataclass
from typing import Any, Protocol

import httptools

from bedrock.clock import now
from bedrock.failures import CallFailedError, Failure
from bedrock.wire import kernel_stamps
from bedrock.wire.tls import TlsPipe

_RECEIVE_BYTES = 64 * 1024
_READABLE = 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, and by which name the server is known; `tls` None is plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


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
        started_at = now()
        self._address = address
        self._loop: Any = gevent.get_hub().loop
        self._socket, self._tls, tls_s = _open(address, connect_timeout_s)
        self._fd = self._socket.fileno()
        self.connect_ms = (now() - started_at) * 1000.0
        #: The TLS handshake's part of it; None without TLS.
        self.tls_ms = None if tls_s is None else tls_s * 1000.0
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
        #: While a greenlet may wait for the socket to take more, it must not be closed: libev would abort the process.
        self._is_sending = False
        self._send_failure: Exception | None = None
        self._keeps_alive = True
        self._at = 0.0
        self._timeout_s = 0.0
        self._read_at = 0.0
        self._timer: Any = None
        self._watcher: Any = self._loop.io(self._fd, _READABLE)
        self._watcher.start(self._readable)

    # --- a call ----------------------------------------------------------------------------------------------

    def exchange(self, request: bytes, sink: AnswerSink, read_timeout_s: float) -> None:
        """Send a request and sleep until its answer is complete; CallFailedError where it does not become so.

        A kill of the calling greenlet closes the connection: what is still to come belongs to nobody.
        """
        self._sink = sink
        self.calls += 1
        self.bytes_received = 0
        self.receive_lag_ms = None
        self._is_stamping = self._can_stamp
        waiter = self._waiter = Waiter()
        self._timeout_s = read_timeout_s
        try:
            self._send(request)
            if self._send_failure is not None and self._waiter is not None:
                waiter.throw(self._send_failure)
            self._start_timer(self._timeout_s)
            waiter.get()
        except BaseException:
            self.close()
            raise
        finally:
            self._sink = self._waiter = None
            self._stop_timer()
        if self._tls is not None:
            self._tls.remember_session()
        if not self._keeps_alive:
            self.close()

    def is_usable(self) -> bool:
        """Whether the server has left it open: looked up, because the loop may not have had its turn to notice."""
        if not self.is_open:
            return False
        try:
            data = self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if data and self._tls is not None:
            return True  # TLS has words of its own to say, such as session tickets
        self.close()  # end of stream, an error, or bytes that nobody asked for
        return False

    def close(self) -> None:
        """Close it; does nothing if it is closed."""
        if not self.is_open:
            return
        self.is_open = False
        self._watcher.stop()
        self._watcher.close()
        self._stop_timer()
        self._socket.close()

    # --- called by the loop ----------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._receive_stamped() if self._is_stamping else self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(CallFailedError(Failure.CONNECTION_CLOSED, error.strerror or str(error)))
            return
        self._at = self._read_at = now()
        if not data:
            self._fail(CallFailedError(Failure.CONNECTION_CLOSED))
            return
        self.bytes_received += len(data)
        try:
            if self._tls is not None:
                data = self._decrypt(data)
            if data:
                self._feed(data)
        except Exception as error:  # noqa: BLE001 - it belongs to the greenlet that made the call, not to the loop
            self._fail(error)

    def _receive_stamped(self) -> bytes:
        data, lag_s = kernel_stamps.receive(self._socket, _RECEIVE_BYTES)
        if data:
            self.receive_lag_ms = None if lag_s is None else lag_s * 1000.0
        return data

    def _feed(self, data: bytes) -> None:
        if self._sink is None and self._is_sending:  # answered before all was sent; the rest is of no interest
            return
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
            waiter, self._waiter, self._sink = self._waiter, None, None
            if waiter is not None:
                waiter.switch(None)

    def _fail(self, error: Exception) -> None:
        if self._is_sending:
            self._watcher.stop()
            self._send_failure = error
            self._keeps_alive = False
            return
        if self._waiter is None:
            self.close()
            return
        waiter, self._waiter = self._waiter, None
        self._sink = None
        waiter.throw(error)

    def _silence_is_over(self) -> None:
        silent_s = now() - self._read_at
        if silent_s + 0.001 >= self._timeout_s:
            self._fail(CallFailedError(Failure.READ_TIMEOUT))
        else:
            self._start_timer(self._timeout_s - silent_s)

    # --- called by the parser --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self._sink is not None:
            self._sink.head(self._parser.get_status_code(), self._headers, self._at)

    def on_body(self, data: bytes) -> None:
        """Called by the parser for each part of the body."""
        if self._sink is not None:
            self._sink.body(data, self._at)

    def on_message_complete(self) -> None:
        """Called by the parser: the answer is whole. The greenlet is woken once the parser has returned."""
        self._is_complete = True
        self._keeps_alive = self._parser.should_keep_alive()

    # --- inside ----------------------------------------------------------------------------------------------

    def _send(self, request: bytes) -> None:
        data = request if self._tls is None else self._tls.encrypt(request)
        self._read_at = now()
        self._is_sending = True
        try:
            self._send_all(data)
        except TimeoutError as error:
            raise CallFailedError(Failure.READ_TIMEOUT, "the request could not be sent") from error
        except OSError as error:
            raise CallFailedError(Failure.CONNECTION_CLOSED, error.strerror or str(error)) from error
        finally:
            self._is_sending = False

    def _send_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._waiter is None or self._send_failure is not None:  # answered, or lost, before all was sent
                self._keeps_alive = False
                return
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                gevent.socket.wait_write(self._fd, self._timeout_s, TimeoutError())

    def _decrypt(self, data: bytes) -> bytes:
        assert self._tls is not None  # noqa: S101 - only called with TLS
        plain = self._tls.decrypt(data)
        reply = self._tls.pending()  # what TLS itself has to say, such as the answer to a key update
        if reply:
            self._socket.send(reply)
        return plain

    def _start_timer(self, delay_s: float) -> None:
        self._stop_timer()
        self._timer = self._loop.timer(delay_s)
        self._timer.start(self._silence_is_over)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


def _open(address: Address, timeout_s: float) -> tuple[Any, TlsPipe | None, float | None]:
    """A connected non-blocking socket of the standard library, not gevent's; its TLS, and how long that took."""
    try:
        cooperative = gevent.socket.create_connection((address.host, address.port), timeout_s)
    except TimeoutError as error:
        raise CallFailedError(Failure.CONNECT_TIMEOUT) from error
    except OSError as error:
        raise CallFailedError(Failure.CONNECTION_FAILED, error.strerror or str(error)) from error
    try:
        cooperative.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cooperative.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        tls, tls_s = None, None
        if address.tls is not None:
            connected_at = now()
            tls = TlsPipe(address.tls, address.host)
            tls.shake_hands(cooperative)
            tls_s = now() - connected_at
    except TimeoutError as error:
        cooperative.close()
        raise CallFailedError(Failure.CONNECT_TIMEOUT, "TLS handshake") from error
    except (OSError, ssl.SSLError) as error:
        cooperative.close()
        raise CallFailedError(Failure.CONNECTION_FAILED, str(error)) from error
    # The loop's call-backs need the bare system call: gevent's would look for a greenlet to put to sleep.
    plain = get_original("socket", "socket")(fileno=cooperative.detach())
    plain.setblocking(False)
    return plain, tls, tls_s
