"""The reference reader in gevent's own way: a greenlet per call that blocks in `recv`."""

import gevent
import gevent.socket
import gevent.ssl

import socket
from collections.abc import Callable, Sequence
from typing import Any

from bedrock.clock import now
from benchmarks.generator_raw_answer import RawAnswer, RawCall, RawPlan

_READ_BYTES = 65_536
#: How long answers may take after the last request has been sent.
_PATIENCE_S = 30.0


class _Calls:
    def __init__(self, plan: RawPlan) -> None:
        self._plan = plan
        self._context = None if plan.ca is None else _trusting(str(plan.ca))
        self._idle: list[Any] = [self._open() for _ in range(plan.connections)]
        self._calls: list[RawCall] = []

    def run(self, due_at: Sequence[float]) -> list[RawCall]:
        """Send at each moment; the calls in this order, those without an end included."""
        greenlets = []
        for at in due_at:
            wait_s = at - now()
            if wait_s > 0.0:
                gevent.sleep(wait_s)
            greenlets.append(gevent.spawn(self._call, at))
        gevent.joinall(greenlets, _PATIENCE_S)
        return self._calls

    def _call(self, due_at: float) -> None:
        answer = RawAnswer()
        call = RawCall(due_at, now(), answer)
        self._calls.append(call)
        try:
            connection = self._idle.pop() if self._idle else self._open()
            connection.sendall(self._plan.request)
            while True:
                data = connection.recv(_READ_BYTES)
                if answer.feed(data, now()):
                    break
                if not data:
                    raise ConnectionResetError
        except (OSError, ValueError):
            answer.fail(now())
            return
        self._idle.append(connection)

    def _open(self) -> Any:
        connection = gevent.socket.create_connection(self._plan.address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            return connection
        return self._context.wrap_socket(connection, server_hostname=self._plan.address[0])


def connect(plan: RawPlan) -> Callable[[Sequence[float]], list[RawCall]]:
    """Open the connections; what runs a schedule over them."""
    return _Calls(plan).run


def _trusting(ca: str) -> Any:
    context = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    return context
