"""TLS without a socket: bytes from the network in, plain text out, and the other way round.

Certificates are verified and the server's name is checked, as the context says; sessions are resumed.
"""

import ssl
from typing import Any

_RECEIVE_BYTES = 64 * 1024
#: The session of the last connection by context and server name: resuming it saves a round trip and most of the CPU.
_sessions: dict[tuple[int, str], ssl.SSLSession] = {}


class TlsPipe:
    """The TLS state of one connection."""

    __slots__ = ("_incoming", "_is_remembered", "_key", "_outgoing", "_tls", "is_ended")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._key = (id(context), host)
        self._is_remembered = False
        #: Whether the other side has said that it sends no more (close_notify).
        self.is_ended = False
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=host, session=_sessions.get(self._key)
        )

    def shake_hands(self, sock: Any) -> None:
        """Establish TLS over a socket that may block the calling greenlet."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                sock.sendall(self._outgoing.read())
                data = sock.recv(_RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("closed during the TLS handshake") from None
                self._incoming.write(data)
            else:
                sock.sendall(self._outgoing.read())
                return

    def encrypt(self, data: bytes) -> bytes:
        """What to send for `data`."""
        self._tls.write(data)
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """What `data` from the network says; nothing while a record is incomplete."""
        self._incoming.write(data)
        parts = []
        while True:
            try:
                part = self._tls.read(_RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                break
            if not part:
                self.is_ended = True
                break
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pending(self) -> bytes:
        """What TLS has to send on its own account."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def remember_session(self) -> None:
        """Keep the session for the next connection to the same server. With TLS 1.3 it comes with the first answer."""
        if self._is_remembered:
            return
        session = self._tls.session
        if session is not None:
            _sessions[self._key] = session
            self._is_remembered = True
