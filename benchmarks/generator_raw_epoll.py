"""The reference reader without any framework: one loop around epoll."""

import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence

from bedrock.clock import now
from benchmarks.generator_raw_answer import RawAnswer, RawCall, RawPlan

_READ_BYTES = 65_536
#: How long nothing may come after the last request has been sent.
_PATIENCE_S = 30.0


class _Loop:
    def __init__(self, plan: RawPlan) -> None:
        self._plan = plan
        self._context = None if plan.ca is None else ssl.create_default_context(cafile=plan.ca)
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._open_calls: dict[int, RawCall] = {}
        self._calls: list[RawCall] = []
        self._idle = [self._open() for _ in range(plan.connections)]

    def run(self, due_at: Sequence[float]) -> list[RawCall]:
        """Send at each moment; the calls in this order, those without an end included."""
        waiting = deque(due_at)
        while waiting or self._open_calls:
            wait_s = max(0.0, waiting[0] - now()) if waiting else _PATIENCE_S
            events = self._poll.poll(wait_s)
            if not events and not waiting:
                break
            for fd, _ in events:
                self._read(fd)
            while waiting and waiting[0] <= now():
                self._send(waiting.popleft())
        return self._calls

    def _send(self, due_at: float) -> None:
        call = RawCall(due_at, now(), RawAnswer())
        self._calls.append(call)
        try:
            fd = self._idle.pop() if self._idle else self._open()
        except OSError:
            call.answer.fail(now())
            return
        self._open_calls[fd] = call
        try:
            self._sockets[fd].sendall(self._plan.request)  # an idle socket takes so little at once
        except OSError:
            self._lose(fd)

    def _read(self, fd: int) -> None:
        call = self._open_calls.get(fd)
        try:
            data = self._received(fd)
            if not data:
                self._lose(fd)
            elif call is not None and call.answer.feed(data, now()):
                del self._open_calls[fd]
                self._idle.append(fd)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        except (OSError, ValueError):
            self._lose(fd)

    def _received(self, fd: int) -> bytes:
        """What is there; of TLS all records that are, because epoll does not know what is decrypted already."""
        connection = self._sockets[fd]
        data = connection.recv(_READ_BYTES)
        while isinstance(connection, ssl.SSLSocket) and data and connection.pending():
            data += connection.recv(_READ_BYTES)
        return data

    def _lose(self, fd: int) -> None:
        call = self._open_calls.pop(fd, None)
        if call is not None:
            call.answer.fail(now())
        if fd in self._idle:
            self._idle.remove(fd)
        self._sockets.pop(fd).close()

    def _open(self) -> int:
        connection = socket.create_connection(self._plan.address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_hostname=self._plan.address[0])
        connection.setblocking(False)
        fd = connection.fileno()
        self._sockets[fd] = connection
        self._poll.register(fd, select.EPOLLIN)
        return fd


def connect(plan: RawPlan) -> Callable[[Sequence[float]], list[RawCall]]:
    """Open the connections; what runs a schedule over them."""
    return _Loop(plan).run
