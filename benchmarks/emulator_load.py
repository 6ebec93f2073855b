"""Load for the emulator: bare sockets in one epoll loop, so that the client is the last thing to be the limit.

It reads no more than it needs: HTTP heads for status, length and request id, and chunk sizes. The emulator sends each
event frame in a chunk of its own, so that chunks are events. This is a measuring device, not a Bedrock client.
"""

import gc
import os
import random
import resource
import select
import signal
import socket
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

#: Monotonic seconds; on Linux the same in all processes of a machine.
clock = time.perf_counter

_READ_BYTES = 65_536
#: How long answers may take after the last request has been sent.
_PATIENCE_S = 60.0
_REQUEST_ID = b"\r\nx-amzn-requestid: "
_CONTENT_LENGTH = b"\r\ncontent-length: "


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What one load process does: every connection sends a request, reads the answer, sends the next.

    First requests leave at random moments of `spread_s` after the start. None is sent later than `seconds` after it,
    nor beyond `total`. With `reconnect_every` a connection is replaced by a new one after so many answers.
    """

    address: tuple[str, int]
    connections: int
    requests: Sequence[bytes]
    seed: int
    spread_s: float = 0.0
    seconds: float | None = None
    total: int | None = None
    reconnect_every: int | None = None


@dataclass(frozen=True, slots=True)
class SeenAnswer:
    """A streamed answer as the client saw it: when each of its frames arrived, by `clock`."""

    request_id: str
    sent_at: float
    arrivals: "array[float]"


@dataclass(slots=True)
class LoadResult:
    """What one load process, or several together, saw. Times are those of `clock`."""

    streamed: list[SeenAnswer] = field(default_factory=list)
    ended_at: "array[float]" = field(default_factory=lambda: array("d"))
    latency_s: "array[float]" = field(default_factory=lambda: array("d"))
    events: int = 0
    failed: int = 0

    def add(self, other: "LoadResult") -> None:
        """Take in what another process saw."""
        self.streamed += other.streamed
        self.ended_at += other.ended_at
        self.latency_s += other.latency_s
        self.events += other.events
        self.failed += other.failed


class AnswerReader:
    """Finds the end of one HTTP answer and counts its chunks. ValueError for bytes that are no such answer."""

    __slots__ = ("_missing_bytes", "_rest", "is_complete", "request_id", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.request_id = ""
        self.is_complete = False
        self._rest = b""
        self._missing_bytes: int | None = None

    def feed(self, data: bytes) -> int:
        """Read on; how many chunks have become complete, the closing one not counted."""
        if self._rest:
            data = self._rest + data
        start = 0
        if self.status is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return 0
            self._read_head(data[:end])
            start = end + 4
        if self._missing_bytes is None:
            return self._read_chunks(data, start)
        self._rest = b""
        self._missing_bytes -= len(data) - start
        self.is_complete = self._missing_bytes <= 0
        return 0

    def _read_chunks(self, data: bytes, start: int) -> int:
        chunks = 0
        while (line_end := data.find(b"\r\n", start)) >= 0:
            size = int(data[start:line_end], 16)
            end = line_end + 4 + size
            if end > len(data):
                break
            start = end
            if size == 0:
                self.is_complete = True
                break
            chunks += 1
        self._rest = data[start:]
        return chunks

    def _read_head(self, head: bytes) -> None:
        self.status = int(head[9:12])
        lowered = head.lower() + b"\r\n"
        self.request_id = _value_of(lowered, _REQUEST_ID).decode("latin-1")
        length = _value_of(lowered, _CONTENT_LENGTH)
        self._missing_bytes = int(length) if length else None


def _value_of(head: bytes, name: bytes) -> bytes:
    start = head.find(name)
    return b"" if start < 0 else head[start + len(name) : head.index(b"\r\n", start + len(name))]


class _Line:
    """One connection and the answer that is being read from it."""

    __slots__ = ("answer", "answers", "arrivals", "sent_at", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.answer = AnswerReader()
        self.answers = 0
        self.arrivals: array[float] = array("d")
        self.sent_at = 0.0


class Load:
    """The load of one process: `connect`, then `run`. `answered` is a number in shared memory, for the onlooker."""

    def __init__(self, plan: LoadPlan, answered: Any) -> None:
        self._plan = plan
        self._answered = answered
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._result = LoadResult()
        self._sent = 0
        self._in_flight = 0
        self._stop_at = float("inf")

    def connect(self) -> None:
        """Open all connections; OSError where that is not possible."""
        for _ in range(self._plan.connections):
            self._open()

    def run(self, begin_at: float) -> LoadResult:
        """Send and read from `begin_at` (by `clock`) until all answers are there."""
        plan = self._plan
        rng = random.Random(plan.seed)
        moments = sorted(begin_at + rng.uniform(0.0, plan.spread_s) for _ in self._lines)
        starts = deque(zip(moments, list(self._lines.values()), strict=True))
        if plan.seconds is not None:
            self._stop_at = begin_at + plan.seconds
        last_progress_at = begin_at
        while starts or self._in_flight:
            events = self._poll.poll(max(0.0, starts[0][0] - clock()) if starts else 1.0)
            for fd, _ in events:
                self._read(self._lines[fd])
            at = clock()
            while starts and starts[0][0] <= at:
                self._send_next(starts.popleft()[1])
            if events or starts:
                last_progress_at = at
            elif at - last_progress_at > _PATIENCE_S:
                break
        self._result.failed += self._in_flight
        return self._result

    def _open(self) -> _Line:
        line = _Line(self._plan.address)
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket, select.EPOLLIN)
        return line

    def _send_next(self, line: _Line) -> None:
        plan = self._plan
        at = clock()
        if at > self._stop_at or (plan.total is not None and self._sent >= plan.total):
            self._close(line)
            return
        request = plan.requests[self._sent % len(plan.requests)]
        self._sent += 1
        self._in_flight += 1
        line.answer, line.arrivals, line.sent_at = AnswerReader(), array("d"), at
        try:
            taken = line.socket.send(request)
        except OSError:
            taken = 0
        if taken != len(request):  # an idle socket takes so little at once, or it is broken
            self._lose(line)

    def _read(self, line: _Line) -> None:
        try:
            data = line.socket.recv(_READ_BYTES)
            at = clock()
            frames = line.answer.feed(data)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._lose(line)
            return
        for _ in range(frames):
            line.arrivals.append(at)
        self._result.events += frames
        if line.answer.is_complete:
            self._finish(line, at)
        elif not data:
            self._lose(line)

    def _finish(self, line: _Line, at: float) -> None:
        self._in_flight -= 1
        self._answered.value += 1
        if line.answer.status != 200:
            self._result.failed += 1
        elif line.arrivals:
            self._result.streamed.append(SeenAnswer(line.answer.request_id, line.sent_at, line.arrivals))
        self._result.ended_at.append(at)
        self._result.latency_s.append(at - line.sent_at)
        line.answers += 1
        if self._plan.reconnect_every is not None and line.answers >= self._plan.reconnect_every:
            self._close(line)
            line = self._open()
        self._send_next(line)

    def _lose(self, line: _Line) -> None:
        self._in_flight -= 1
        self._result.failed += 1
        self._close(line)

    def _close(self, line: _Line) -> None:
        del self._lines[line.socket.fileno()]
        line.socket.close()


def run_load(plan: LoadPlan, core: int, answered: Any, pipe: Connection) -> None:
    """The body of a load process, on a core of its own: says "ready", is told when to begin, sends its result.

    An OSError before that is sent instead.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent winds up
    os.sched_setaffinity(0, {core})
    _raise_open_file_limit()
    load = Load(plan, answered)
    try:
        load.connect()
    except OSError as error:
        pipe.send(error)
        return
    pipe.send("ready")
    begin_at = pipe.recv()
    gc.disable()  # nothing here makes cycles, and a collection would look like lateness
    pipe.send(load.run(begin_at))


def _raise_open_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
