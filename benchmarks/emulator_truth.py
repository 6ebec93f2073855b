"""What the emulator says it did, held against what clients saw: pure functions over both.

The emulator's stamps are Unix seconds of its own clock: the machine's monotonic clock plus a constant of its process
(`bedrock.clock`). Clients read the monotonic clock itself. The constant is not known, but bounded by causality:
a request is received after it was sent, and a frame arrives after it was handed to the socket.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks.emulator_load import SeenAnswer

_CLOSING_FRAMES = 3  # contentBlockStop, messageStop, metadata
_OPENING_FRAMES = 1  # messageStart
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StreamShape:
    """The schedule of every streamed answer of a benchmark: token i is due at ttft_s + (i - 1) x interval_s."""

    tokens: int
    ttft_s: float
    interval_s: float

    @property
    def frames(self) -> int:
        """Frames of one answer with one token an event."""
        return self.tokens + _OPENING_FRAMES + _CLOSING_FRAMES

    @property
    def seconds(self) -> float:
        """From the request to the last token."""
        return self.token_due_s(self.tokens)

    def token_due_s(self, token: int) -> float:
        """When a token (from 1) is due after the request has been received."""
        return self.ttft_s + (token - 1) * self.interval_s


@dataclass(frozen=True, slots=True)
class TruthLine:
    """The parts of a truth-log line of a stream that are needed here."""

    request_id: str
    received_at: float
    first_event_at: float
    first_token_at: float
    last_token_at: float
    events: int


@dataclass(frozen=True, slots=True)
class StreamTruth:
    """The lines of streams that ended well, and the number of events of all."""

    lines: Sequence[TruthLine]
    events: int


@dataclass(frozen=True, slots=True)
class Window:
    """The measured time, in seconds of a clock."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin

    def moved(self, offset_s: float) -> "Window":
        """The same window on a clock that is ahead by so much."""
        return Window(self.begin + offset_s, self.end + offset_s)

    def __contains__(self, at: float) -> bool:
        return self.begin <= at < self.end


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The emulator's clock minus that of the clients, and how far off that can be at most, either way."""

    seconds: float
    uncertainty_s: float


@dataclass(frozen=True, slots=True)
class Pair:
    """One streamed answer from both sides."""

    seen: SeenAnswer
    truth: TruthLine


def read_stream_truth(path: Path) -> StreamTruth:
    """The truth log's file of a run."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    streams = [
        TruthLine(**{part.name: line[part.name] for part in fields(TruthLine)})
        for line in lines
        if line["outcome"] == "ok" and line["last_token_at"] is not None
    ]
    return StreamTruth(streams, sum(line["events"] or 0 for line in lines))


def count_lines(path: Path) -> int:
    """Lines of a file of any size."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK_BYTES), b""))


def pairs(seen: Iterable[SeenAnswer], truth: Iterable[TruthLine], shape: StreamShape) -> list[Pair]:
    """Answers that both sides know and that have all their frames."""
    by_id: Mapping[str, TruthLine] = {line.request_id: line for line in truth}
    return [
        Pair(answer, by_id[answer.request_id])
        for answer in seen
        if answer.request_id in by_id and len(answer.arrivals) == by_id[answer.request_id].events == shape.frames
    ]


def clock_offset(matched: Sequence[Pair]) -> ClockOffset | None:
    """The middle between the two bounds; None without answers."""
    if not matched:
        return None
    highest = min(pair.truth.received_at - pair.seen.sent_at for pair in matched)
    lowest = max(pair.truth.first_event_at - pair.seen.arrivals[0] for pair in matched)
    return ClockOffset((highest + lowest) / 2.0, abs(highest - lowest) / 2.0)


def send_lateness_ms(lines: Iterable[TruthLine], shape: StreamShape, window: Window) -> list[float]:
    """First and last token of each answer: handed to the socket minus due, for those due in the window.

    Only the emulator's own stamps are in it, so it is exact; `window` is one of its clock.
    """
    values = []
    for line in lines:
        for token, sent_at in ((1, line.first_token_at), (shape.tokens, line.last_token_at)):
            due_at = line.received_at + shape.token_due_s(token)
            if due_at in window:
                values.append((sent_at - due_at) * 1000.0)
    return values


def arrival_lateness_ms(
    matched: Iterable[Pair], shape: StreamShape, offset: ClockOffset, window: Window
) -> list[float]:
    """Every token: seen by the client minus due, for those due in the window (of the clients' clock).

    It contains the emulator's lateness, the way through the kernel, the client's wait for its turn among all its
    connections, and the uncertainty of `offset`.
    """
    values: list[float] = []
    for pair in matched:
        started_at = pair.truth.received_at - offset.seconds
        values.extend(_latenesses_ms(pair.seen.arrivals, started_at, shape, window))
    return values


def _latenesses_ms(arrivals: Sequence[float], started_at: float, shape: StreamShape, window: Window) -> Iterator[float]:
    for token in range(1, shape.tokens + 1):
        due_at = started_at + shape.token_due_s(token)
        if due_at in window:
            yield (arrivals[token] - due_at) * 1000.0  # arrivals[0] is messageStart


def receive_delay_ms(matched: Iterable[Pair], offset: ClockOffset, window: Window) -> list[float]:
    """How long requests waited until the emulator read them: schedules begin only then, so it is not in lateness."""
    return [
        (pair.truth.received_at - offset.seconds - pair.seen.sent_at) * 1000.0
        for pair in matched
        if pair.seen.sent_at in window
    ]


def arrivals_in(seen: Iterable[SeenAnswer], window: Window) -> int:
    """Frames of any kind that arrived in the window."""
    return sum(bisect_left(answer.arrivals, window.end) - bisect_left(answer.arrivals, window.begin) for answer in seen)
