"""Idle connections of one endpoint."""

from gevent.lock import BoundedSemaphore

from bedrock.clock import now
from bedrock.wire.connection import Connection
from bedrock.wire.dialing import Address


class ConnectionPool:
    """Lends connections, the most recently used first, and opens new ones up to `size` at a time.

    A connection that the server closed while it was idle is noticed at once, by its watcher, and never lent.
    """

    def __init__(self, address: Address, size: int, connect_timeout_s: float) -> None:
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._free = BoundedSemaphore(max(1, size))
        self._idle: list[Connection] = []
        self._is_closed = False

    def lend(self) -> tuple[Connection, float]:
        """A connection and how long, in milliseconds, the caller waited for its turn; CallFailedError without one."""
        asked_at = now()
        self._free.acquire()
        waited_ms = (now() - asked_at) * 1000.0
        try:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_usable():
                    return connection, waited_ms
            return Connection(self._address, self._connect_timeout_s), waited_ms
        except BaseException:
            self._free.release()
            raise

    def take_back(self, connection: Connection) -> None:
        """The caller is done with it; it is kept if it is still open, and the pool is."""
        if self._is_closed:
            connection.close()
        elif connection.is_open:
            self._idle.append(connection)
        self._free.release()

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back: the loop holds on to open connections."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()
