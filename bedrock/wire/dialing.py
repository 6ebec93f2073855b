"""Opening a connection: TCP, and TLS where the address asks for it, timed apart."""

import gevent.socket
from gevent.monkey import get_original

import socket
import ssl
from dataclasses import dataclass
from typing import Any

from bedrock.clock import now
from bedrock.failures import CallFailedError, Failure, connection_failure
from bedrock.wire.tls import TlsPipe


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, and by which name the server is known; `tls` None is plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A connected non-blocking socket of the standard library, not gevent's: call-backs need the bare system call.

    `tls_ms` is the handshake's part of `connect_ms`; None without TLS.
    """

    socket: Any
    tls: TlsPipe | None
    connect_ms: float
    tls_ms: float | None


def dial(address: Address, timeout_s: float) -> Line:
    """Connect, the calling greenlet asleep meanwhile; CallFailedError where that fails."""
    started_at = now()
    try:
        cooperative = gevent.socket.create_connection((address.host, address.port), timeout_s)
    except TimeoutError as error:
        raise CallFailedError(Failure.CONNECT_TIMEOUT) from error
    except OSError as error:
        raise CallFailedError(connection_failure(error), error.strerror or str(error)) from error
    try:
        tls, tls_ms = _prepare(cooperative, address)
    except TimeoutError as error:
        cooperative.close()
        raise CallFailedError(Failure.CONNECT_TIMEOUT, "TLS handshake") from error
    except OSError as error:
        cooperative.close()
        raise CallFailedError(Failure.CONNECTION_FAILED, str(error)) from error
    except BaseException:
        cooperative.close()
        raise
    # gevent's own socket would look for a greenlet to put to sleep, and the loop has none.
    plain = get_original("socket", "socket")(fileno=cooperative.detach())
    plain.setblocking(False)
    return Line(plain, tls, (now() - started_at) * 1000.0, tls_ms)


def _prepare(cooperative: Any, address: Address) -> tuple[TlsPipe | None, float | None]:
    cooperative.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    cooperative.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if address.tls is None:
        return None, None
    connected_at = now()
    tls = TlsPipe(address.tls, address.host)
    tls.shake_hands(cooperative)
    return tls, (now() - connected_at) * 1000.0
