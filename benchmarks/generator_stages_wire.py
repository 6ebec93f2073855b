"""Whole calls of the `wire` transport over loopback, cut into parts at the moments when it sleeps.

The other end of each connection is in the same process and writes the emulator's own frames, outside of the times
taken: what is timed is the transport, the event loop and the kernel's part of receiving.
"""

import gevent

import random
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bedrock.invocation import Invocation, InvocationRecord
from bedrock.outcome import Outcome
from bedrock.wire.dialing import Address
from bedrock.wire.pool import ConnectionPool
from bedrock.wire.signing import Authorizer
from bedrock.wire.transport import WireTransport
from benchmarks.load_processes import BenchmarkError
from emulator.frames import Padding, event_frame
from emulator.http import response_head

#: Content events of an answer; the first is decoded in full, the others are not.
EVENTS = 100

_TIMEOUT_S = 30.0
_ROUNDS = 20
_READ_BYTES = 65_536
#: Far more than are needed.
_MOST_TURNS = 100_000


@dataclass(frozen=True, slots=True)
class CallParts:
    """Microseconds, medians over many rounds: once per call, and for each event after the first."""

    send_us: float
    head_us: float
    event_us: float
    end_us: float


def new_record() -> InvocationRecord:
    """A record as it is when a call begins."""
    return InvocationRecord(run_id="run", cell="cell", process="local", seq=1, message_id="local-m1")


def head_and_opening() -> bytes:
    """The first bytes of an answer: HTTP's head and `messageStart`."""
    fields = [
        ("Content-Type", "application/vnd.amazon.eventstream"),
        ("x-amzn-RequestId", "26220e12-4150-401b-94b3-57c94a858cb6"),
        ("Transfer-Encoding", "chunked"),
    ]
    return response_head(200, fields, keep_alive=True) + _chunk(
        event_frame("messageStart", {"role": "assistant"}, _padding())
    )


def content_frames() -> list[bytes]:
    """Event frames of an answer's text, each a token, their paddings of all lengths."""
    padding = _padding()
    return [
        event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": f"word{number} "}}, padding)
        for number in range(EVENTS)
    ]


def content_chunks() -> list[bytes]:
    """The same in chunks of HTTP."""
    return [_chunk(frame) for frame in content_frames()]


def closing() -> bytes:
    """The last bytes of an answer."""
    usage = {"inputTokens": 40, "outputTokens": EVENTS, "totalTokens": 40 + EVENTS}
    documents: dict[str, dict[str, Any]] = {
        "contentBlockStop": {"contentBlockIndex": 0},
        "messageStop": {"stopReason": "end_turn"},
        "metadata": {"metrics": {"latencyMs": 2380}, "usage": usage, "serviceTier": {"type": "default"}},
    }
    padding = _padding()
    frames = (event_frame(name, document, padding) for name, document in documents.items())
    return b"".join(map(_chunk, frames)) + b"0\r\n\r\n"


def _chunk(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def _padding() -> Padding:
    return Padding(random.Random(1))


def measure_calls(invocation: Invocation, authorizer: Authorizer, together: int) -> CallParts:
    """Make `together` calls at a time, whose events arrive at the same moment, again and again."""
    with socket.create_server(("127.0.0.1", 0), backlog=together) as listener:
        bench = _Bench(listener, invocation, authorizer, together)
        try:
            bench.round()  # it has to connect
            rounds = [bench.round() for _ in range(_ROUNDS)]
        finally:
            bench.close()
    return CallParts(*(statistics.median(values) / together * 1e6 for values in zip(*rounds, strict=True)))


class _Bench:
    """Both ends of some connections."""

    def __init__(self, listener: socket.socket, invocation: Invocation, authorizer: Authorizer, together: int) -> None:
        host, port = listener.getsockname()
        self._listener = listener
        self._pool = ConnectionPool(Address(host, port), together, _TIMEOUT_S)
        self._transport = WireTransport(self._pool, authorizer, f"{host}:{port}", _TIMEOUT_S)
        self._invocation = invocation
        self._together = together
        self._peers: list[socket.socket] = []

    def round(self) -> tuple[float, float, float, float]:
        """One call on each connection; seconds of all of them together, in the order of `CallParts`."""
        records = [new_record() for _ in range(self._together)]
        calls = [gevent.spawn(self._transport.invoke, self._invocation, record) for record in records]
        send_s = _seconds_until(lambda: all(record.pool_wait_ms is not None for record in records))
        self._peers = self._peers or [self._listener.accept()[0] for _ in records]
        for peer in self._peers:
            peer.recv(_READ_BYTES)
        self._write(head_and_opening())
        head_s = _seconds_until(lambda: all(record.events == 1 for record in records))
        event_s = statistics.median([self._event(records, *chunk) for chunk in enumerate(content_chunks(), 2)][1:])
        self._write(closing())
        end_s = _seconds_until(lambda: all(call.dead for call in calls))
        if any(record.outcome is not Outcome.OK for record in records):
            raise BenchmarkError(f"a call over loopback ended with {records[0].outcome}: {records[0].error_message}")
        return send_s, head_s, event_s, end_s

    def _event(self, records: Sequence[InvocationRecord], number: int, chunk: bytes) -> float:
        self._write(chunk)
        return _seconds_until(lambda: all(record.events == number for record in records))

    def _write(self, data: bytes) -> None:
        for peer in self._peers:
            peer.sendall(data)

    def close(self) -> None:
        """Close both ends."""
        self._pool.close()
        for peer in self._peers:
            peer.close()


def _seconds_until(reached: Callable[[], bool]) -> float:
    """Processor time until the loop gets there, turn by turn; each turn asks the system what is ready."""
    began_at = time.process_time()
    for _ in range(_MOST_TURNS):
        gevent.idle()
        if reached():
            return time.process_time() - began_at
    raise BenchmarkError("a call over loopback does not get on")
