"""HTTP over TLS: the same connection with a layer of encryption under it.

The layer works on buffers in memory; it is not the event loop's own. So a frame still leaves with one system call the
moment it is due, in a TLS record of its own, and a client that speaks plain HTTP can be told what is wrong.
"""

import contextlib
import ssl
from enum import Enum, auto

from emulator.hints import tell_user
from emulator.http import Connection, Handler

_HANDSHAKE_RECORD = b"\x16"
_READ_BYTES = 256 * 1024
_DISTRUST = ("UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "BAD_CERTIFICATE")

_DISTRUSTED = (
    "A client does not trust this endpoint's certificate: tell it which authority to trust "
    "(AWS_CA_BUNDLE; for Node.js NODE_EXTRA_CA_CERTS; verify= in boto3)."
)
_PLAIN = "This endpoint speaks HTTPS, not HTTP: use https:// in its URL."


class _State(Enum):
    """How far a connection is."""

    NEW = auto()
    HANDSHAKE = auto()
    OPEN = auto()
    PLAIN = auto()
    ENDED = auto()


class TlsConnection(Connection):
    """A client connection that is encrypted."""

    def __init__(self, handler: Handler, open_connections: set[Connection], context: ssl.SSLContext) -> None:
        super().__init__(handler, open_connections)
        self._received = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self._state = _State.NEW

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._state is _State.NEW:
            self._begin(data)
        if self._state is _State.PLAIN:
            super().data_received(data)
        elif self._state is not _State.ENDED:
            self._received.write(data)
            self._decrypt()

    def write(self, data: bytes) -> bool:
        """Encrypt bytes and hand them to the socket; False when there is nobody to read them."""
        if self._state is _State.PLAIN:
            return super().write(data)
        if self._state is not _State.OPEN or self._fd < 0:
            return False
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        return self._send_encrypted()

    def close(self) -> None:
        """Close the connection once what is written is sent."""
        self._end_encryption()
        super().close()

    def _begin(self, data: bytes) -> None:
        """Look at the first byte: TLS, or what only HTTP can be."""
        if data.startswith(_HANDSHAKE_RECORD):
            self._state = _State.HANDSHAKE
            return
        self._state = _State.PLAIN
        self._refusal = (400, _PLAIN)
        tell_user("A client tried HTTP, but this endpoint speaks HTTPS: use https:// in its URL.")

    def _decrypt(self) -> None:
        try:
            if self._state is _State.HANDSHAKE:
                self._tls.do_handshake()
                self._state = _State.OPEN
            content, is_end = self._read()
        except ssl.SSLWantReadError:
            self._send_encrypted()
            return
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._send_encrypted()
        if content:
            super().data_received(content)
        if is_end:
            # As at the end of a plain connection: an HTTP client that closes its side has gone.
            self.close()
            self._client_gone()

    def _read(self) -> tuple[bytes, bool]:
        """What has arrived decrypted, and whether the client closed its side."""
        parts: list[bytes] = []
        while True:
            try:
                part = self._tls.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                return b"".join(parts), False
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                return b"".join(parts), True
            parts.append(part)

    def _send_encrypted(self) -> bool:
        data = self._to_send.read()
        return super().write(data) if data else self._fd >= 0

    def _fail(self, error: ssl.SSLError) -> None:
        """No TLS with this client: send the alert, say what is known of the cause, close."""
        reason = error.reason or "no reason given"
        is_distrust = any(word in reason for word in _DISTRUST)
        tell_user(_DISTRUSTED if is_distrust else f"A TLS connection failed: {reason.lower().replace('_', ' ')}.")
        self._send_encrypted()
        self._state = _State.ENDED
        self.close()
        self._client_gone()

    def _end_output(self) -> None:
        self._end_encryption()
        super()._end_output()

    def _end_encryption(self) -> None:
        """Tell the client that nothing more comes, so that it need not suspect that something was cut off."""
        if self._state is _State.OPEN:
            self._state = _State.ENDED
            with contextlib.suppress(ssl.SSLError):  # it would like to wait for the client's farewell
                self._tls.unwrap()
            self._send_encrypted()
