"""An HTTP server that answers every request with bytes given in advance: for answers no sane service would send."""

import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of `application/vnd.amazon.eventstream`, written from the format's description."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", len(encoded) + len(payload) + 16, len(encoded))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    message = prelude + encoded + payload
    return message + struct.pack("!I", zlib.crc32(message))


def event(kind: str, content: dict[str, Any]) -> bytes:
    """An event of a stream."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(content).encode())


def exception(kind: str, message: str) -> bytes:
    """An exception frame of a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def delta(text: str) -> bytes:
    """A piece of answer text."""
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})


START = event("messageStart", {"role": "assistant"})
STOP = event("messageStop", {"stopReason": "end_turn"})
METADATA = event(
    "metadata",
    {
        "usage": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12},
        "metrics": {"latencyMs": 42},
        "serviceTier": {"type": "flex"},
    },
)


def stream(frames: Iterable[bytes], *, ended: bool = True) -> bytes:
    """A 200 answer with one HTTP chunk per frame; `ended` False leaves the closing chunk out."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
        b"x-amzn-RequestId: req-1\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(data), data) for data in frames)
    return head + chunks + (b"0\r\n\r\n" if ended else b"")


def whole(body: bytes, status: str = "200 OK") -> bytes:
    """An answer in one piece."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def until_closed(answer: bytes, version: str = "1.0") -> bytes:
    """The same answer as a server writes it that says by hanging up where it ends."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1:]
    kept = [line for line in lines if not line.lower().startswith((b"content-length", b"transfer-encoding"))]
    status = head.split(b"\r\n")[0].partition(b" ")[2]
    return b"\r\n".join([b"HTTP/" + version.encode() + b" " + status, *kept]) + b"\r\n\r\n" + body


def error(status: int, code: str, message: str) -> bytes:
    """An HTTP error as Bedrock words it."""
    body = json.dumps({"message": message}).encode()
    return (
        f"HTTP/1.1 {status} X\r\nx-amzn-ErrorType: {code}:http://internal.amazon.com/coral/com.amazon.bedrock/\r\n"
        f"x-amzn-RequestId: req-1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@contextmanager
def serving(answer: bytes, *, hold: bool = False) -> Iterator[str]:
    """The URL of a server that answers every request so; `hold` keeps the connection open after the answer."""
    release = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, answer, release if hold else None), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            release.set()


def _accept(listener: socket.socket, answer: bytes, release: threading.Event | None) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            if not read_request(connection):
                continue
            connection.sendall(answer)
            if release is not None:
                release.wait(30.0)


def read_request(connection: Any) -> bool:
    """Read one request; False where the client went away without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return False
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return True
